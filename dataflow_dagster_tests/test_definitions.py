import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_dagster.definitions import pipeline_files
from dataflow_dagster_tests.toys.process import ROOT, run_python

HEAVY = ["torch", "vllm", "diffusers", "transformers", "pandas", "pyarrow", "numpy", "PIL", "av"]

LOADED = """
import sys
import {module}
print([name for name in {heavy} if name in sys.modules])
"""
ASSETS = """
from dataflow_dagster.definitions import defs
keys = defs.resolve_asset_graph().get_all_asset_keys()
print(sorted(key.to_user_string() for key in keys))
"""


def _in_root(code: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DATAFLOW")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_code_location_loads_the_demo_and_no_heavy_library() -> None:
    code = ASSETS + LOADED.format(module="dataflow_dagster.definitions", heavy=HEAVY)
    demo = "['demo/captions', 'demo/generated_images', 'demo/raw_meta', 'demo/results']"
    assert _in_root(code).splitlines() == [demo, "[]"]


def test_the_package_alone_loads_nothing_of_ours_or_others() -> None:
    code = "import sys, dataflow_dagster as d; print('dagster' in sys.modules, dir(d.register)[:0])"
    assert _in_root(code) == "False []"


def test_the_public_names_are_handed_out_when_asked_for() -> None:
    import dataflow_dagster

    for name in dataflow_dagster.__all__:
        assert getattr(dataflow_dagster, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = dataflow_dagster.nothing


def test_a_folder_without_pipelines_loads(tmp_path: Path) -> None:
    done = run_python(tmp_path, "-c", ASSETS)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_files_and_folders_are_taken_in_order_and_each_file_once(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "notes.txt", "a.yaml"):
        (tmp_path / name).write_text("")
    named = f"{tmp_path}/b.yaml{os.pathsep}{os.pathsep}{tmp_path}{os.pathsep}{tmp_path}/gone.yaml"
    files = pipeline_files({"DATAFLOW_PIPELINES": named})
    assert [path.name for path in files] == ["b.yaml", "a.yaml", "a.yml", "gone.yaml"]


def test_without_the_variable_they_are_those_of_data_pipelines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pipeline_files({}) == []
    (tmp_path / "data/pipelines").mkdir(parents=True)
    (tmp_path / "data/pipelines/x.yaml").write_text("")
    assert pipeline_files({"DATAFLOW_PIPELINES": ""}) == [Path("data/pipelines/x.yaml")]
