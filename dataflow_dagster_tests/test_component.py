"""A Dagster project of a user's own, made and run by ``dg`` as a user would."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dataflow_dagster.factory.loading import VALIDATION
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.docs.reading import DOCS, blocks
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import SHOUT, read_rows, text_rows, write_rows
from dataflow_dagster_tests.toys.process import ROOT, environment

PROJECT = """
[project]
name = "shop"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""
DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
OWN_ASSET = """
import dagster as dg
import pandas as pd


@dg.asset(
    ins={"captions": dg.AssetIn(key=["words", "captions"])}, io_manager_key="dataflow_jsonl"
)
def loud(captions: pd.DataFrame) -> pd.DataFrame:
    return captions[captions["dataflow_text"].str.endswith("2")][["id"]]
"""
PIPELINE = f"""
name: words
meta_path: data/in.jsonl
base_folder: work
save_folder: out
steps:
  - type: {SHOUT["type"]}
    name: {SHOUT["name"]}
    asset: captions
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ours as users install it: from a wheel, with its entry points and all its files."""
    require("hatchling", "pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run([*pip, *build], check=True, capture_output=True, timeout=200)
    (wheel,) = folder.glob("*.whl")
    install = ["install", "--no-deps", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True, timeout=200)
    return folder / "site"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh project."""
    if shutil.which("dg") is None and "CI" not in os.environ:
        pytest.skip("pip install -e '.[test]': dagster-dg-cli is missing")
    folder = tmp_path / "shop"
    defs = folder / "src/shop/defs"
    defs.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "src/shop/__init__.py").touch()
    (defs / "__init__.py").touch()
    (folder / "src/shop/definitions.py").write_text(DEFINITIONS)
    write_rows(folder / "data/in.jsonl", text_rows(4))
    return folder


def _dg(project: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    surroundings = environment(project.parent)
    paths = [str(site), surroundings["PYTHONPATH"], str(project / "src")]
    bin_folder = str(Path(sys.executable).parent)
    return subprocess.run(
        [f"{bin_folder}/dg", *arguments],
        cwd=project,
        env={
            **surroundings,
            "PYTHONPATH": os.pathsep.join(paths),
            "PATH": os.pathsep.join([bin_folder, surroundings["PATH"]]),
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.slow
def test_a_fresh_project_scaffolds_checks_and_runs_a_pipeline_with_an_asset_on_top(
    project: Path, site: Path
) -> None:
    """By the commands of the page on own projects, which shows what is scaffolded."""
    page = DOCS / "own-project.md"
    (lines,) = blocks(page, "bash")
    *looks, launch = [shlex.split(line)[1:] for line in lines.splitlines()]
    told = [_dg(project, site, *command) for command in looks]
    assert [done.returncode for done in told] == [0, 0, 0], [done.stderr for done in told]
    assert "cats/captions" in told[-1].stdout
    folder = project / "src/shop/defs/cats"
    defs, pipeline = blocks(page, "yaml")
    assert yaml.safe_load((folder / "defs.yaml").read_text()) == yaml.safe_load(defs)
    assert yaml.safe_load((folder / "pipeline.yaml").read_text()) == yaml.safe_load(pipeline)

    (folder / "pipeline.yaml").write_text(PIPELINE.replace("name: words", "name: cats"))
    (project / "src/shop/defs/loud.py").write_text(OWN_ASSET.replace("words", "cats"))
    assert launch == ["launch", "--assets", 'key:"cats/*"']
    run = _dg(project, site, *launch[:2], launch[2] + ' or key:"loud"')
    assert run.returncode == 0, run.stdout + run.stderr
    assert [row["text"] for row in read_rows(project / "out/result.jsonl")] == [
        f"ROW {n}" for n in range(4)
    ]
    (loud,) = project.rglob("loud.jsonl")
    assert read_rows(loud) == [{"id": "2"}]
    assert "ROW 3" in (project / "out/gallery.html").read_text()
    assert (site / "dataflow_dagster/py.typed").exists()


@pytest.mark.full
@pytest.mark.slow
def test_what_is_wrong_is_told_by_file_and_line(project: Path, site: Path) -> None:
    listed = _dg(project, site, "list", "components")
    assert "dataflow_dagster.DataflowPipeline" in listed.stdout, listed.stderr
    folder = project / "src/shop/defs/words"
    folder.mkdir()
    (folder / "defs.yaml").write_text(
        "type: dataflow_dagster.DataflowPipeline\nattributes:\n  pth: pipeline.yaml\n"
    )
    unlike = _dg(project, site, "check", "yaml")
    assert unlike.returncode != 0
    assert "defs.yaml:3" in unlike.stdout + unlike.stderr

    (folder / "defs.yaml").write_text(
        "type: dataflow_dagster.DataflowPipeline\nattributes:\n  path: pipeline.yaml\n"
    )
    (folder / "pipeline.yaml").write_text(PIPELINE.replace("Shouter", "Shuter"))
    wrong = _dg(project, site, "check", "defs")
    assert wrong.returncode != 0
    said = " ".join((wrong.stdout + wrong.stderr).split())
    assert "words/pipeline.yaml:8: steps[0].name: " in said
    assert "Shouter" in said


def _component(project: Path, folder: str, pipeline: str, path: str = "pipeline.yaml") -> Path:
    """A component's two files; gives that of the pipeline."""
    place = project / "src/shop/defs" / folder
    place.mkdir()
    (place / "defs.yaml").write_text(
        f"type: dataflow_dagster.DataflowPipeline\nattributes:\n  path: {path}\n"
    )
    if pipeline:
        (place / path).write_text(pipeline)
    return place / path


@pytest.fixture
def tree(
    project: Path, toys: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], dg.Definitions]]:
    """Loads the project's defs folder in this process, anew each time."""
    monkeypatch.syspath_prepend(str(project / "src"))

    def load() -> dg.Definitions:
        for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
            del sys.modules[name]
        return dg.load_from_defs_folder(path_within_project=project)

    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


def _groups(defs: dg.Definitions) -> set[str]:
    return {spec.key.path[0] for spec in defs.resolve_all_asset_specs()}


def _broken(defs: dg.Definitions) -> dict[str, str]:
    return {
        name.removeprefix("broken_pipelines/"): str(value.value)
        for name, value in defs.metadata.items()
        if name.startswith("broken_pipelines/")
    }


def test_a_broken_pipeline_leaves_the_other_components_and_is_told(
    project: Path, tree: Callable[[], dg.Definitions], caplog: pytest.LogCaptureFixture
) -> None:
    bad = [_component(project, name, PIPELINE.replace("Shouter", "Shuter")) for name in ("a", "b")]
    _component(project, "words", PIPELINE)
    (project / "src/shop/defs/loud.py").write_text(OWN_ASSET)
    defs = tree()
    dg.Definitions.validate_loadable(defs)
    assert _groups(defs) == {"words", "loud"}
    assert list(_broken(defs)) == list(map(str, bad))
    named = sorted(sensor.name for sensor in defs.get_repository_def().sensor_defs)
    assert [name.partition("_broken_")[0] for name in named] == ["a", "b"]
    for file in bad:
        assert f"{file}:8: steps[0].name: " in _broken(defs)[str(file)]
        assert f"{file}:8: steps[0].name: " in caplog.text


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("name", {"base_folder: work": "base_folder: w2", "save_folder: out": "save_folder: o2"}),
        ("base_folder", {"name: words": "name: two", "save_folder: out": "save_folder: o2"}),
        ("save_folder", {"name: words": "name: two", "base_folder: work": "base_folder: w2"}),
    ],
)
def test_two_components_that_would_write_over_each_other_are_told_apart(
    project: Path,
    tree: Callable[[], dg.Definitions],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    changed: dict[str, str],
) -> None:
    other = PIPELINE
    for before, after in changed.items():
        other = other.replace(before, after)
    first = _component(project, "a", PIPELINE)
    second = _component(project, "b", other)
    defs = tree()
    assert _groups(defs) == {"words"}
    line = next(at for at, said in enumerate(other.splitlines(), 1) if said.startswith(key))
    assert _broken(defs)[str(second)].startswith(f"{second}:{line}: {key}: ")
    assert str(first) in _broken(defs)[str(second)]
    monkeypatch.setenv(VALIDATION, "1")
    with pytest.raises(Exception) as told:  # noqa: PT011  # dagster's own, of no public name
        tree()
    assert f"{second}:{line}: {key}: " in str(told.value.__cause__)


def test_each_pipeline_is_read_once_however_many_there_are(
    project: Path, tree: Callable[[], dg.Definitions], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def noted(path: Path) -> PipelineSpec:
        read.append(path)
        return load_pipeline(path)

    monkeypatch.setattr("dataflow_dagster.factory.loading.load_pipeline", noted)
    text = PIPELINE.replace(": work", ": work/NAME").replace(": out", ": out/NAME")
    text = text.replace("words", "NAME")
    files = [_component(project, name, text.replace("NAME", name)) for name in "abcdef"]
    assert _groups(tree()) == set("abcdef")
    assert sorted(read) == sorted(files)
    files[0].write_text(text.replace("NAME", "changed"))
    assert _groups(tree()) == {"changed", *"bcdef"}


def test_one_pipeline_in_two_components_names_both(
    project: Path, tree: Callable[[], dg.Definitions]
) -> None:
    (project / "words.yaml").write_text(PIPELINE)
    for folder in ("a", "b"):
        _component(project, folder, "", "words.yaml")
    defs = tree()
    assert _groups(defs) == {"words"}
    assert "is the pipeline of two components, a" in _broken(defs)[str(project / "words.yaml")]


REGROUPED = """type: dataflow_dagster.DataflowPipeline
attributes: {path: pipeline.yaml}
post_processing:
  assets:
    - target: "*"
      attributes: {group_name: cats}
"""


def test_assets_that_a_project_puts_in_another_group_are_all_run_by_the_job(
    project: Path, tree: Callable[[], dg.Definitions]
) -> None:
    pipeline = _component(project, "words", PIPELINE)
    (pipeline.parent / "defs.yaml").write_text(REGROUPED)
    defs = tree()
    dg.Definitions.validate_loadable(defs)
    assert {spec.group_name for spec in defs.resolve_all_asset_specs()} == {"cats"}
    names = {node.name for node in defs.resolve_job_def("words_pipeline").nodes}
    assert names == {"words__raw_meta", "words__captions", "words__results"}


@pytest.mark.parametrize("changed", ["key_prefix: team", "key: other"])
def test_a_project_that_changes_our_keys_is_refused(
    project: Path, tree: Callable[[], dg.Definitions], changed: str
) -> None:
    pipeline = _component(project, "words", PIPELINE)
    text = REGROUPED.replace("group_name: cats", changed)
    (pipeline.parent / "defs.yaml").write_text(text)
    with pytest.raises(Exception, match="words") as told:
        tree()
    assert "Extra inputs are not permitted" in str(told.value.__cause__)
