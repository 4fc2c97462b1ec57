from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.factory.agreement import clashing_folders
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline

pytestmark = pytest.mark.usefixtures("toys")


def _said(folder: Path, **keys: Any) -> str:
    first = pipeline(folder, [SHOUT], name="first")
    with pytest.raises(PipelineError) as raised:
        clashing_folders(pipeline(folder, [SHOUT], **{"name": "second", **keys}), [first])
    return str(raised.value)


def test_two_pipelines_with_folders_of_their_own_agree(tmp_path: Path) -> None:
    first = pipeline(tmp_path, [SHOUT], name="first")
    clashing_folders(pipeline(tmp_path, [SHOUT], name="second"), [first])


def test_two_pipelines_of_one_name_are_told_by_both_files(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    first = pipeline(tmp_path, [SHOUT], name="first")
    with pytest.raises(PipelineError) as raised:
        clashing_folders(pipeline(tmp_path / "more", [SHOUT], name="first"), [first])
    assert str(raised.value) == (
        f"{tmp_path}/more/first.yaml:1: name: 'first' is the name of {tmp_path}/first.yaml too;"
        " give one of them another by 'name:'"
    )


def test_a_name_that_no_line_gives_is_that_of_the_file(tmp_path: Path) -> None:
    first = pipeline(tmp_path, [SHOUT], name="first")
    (tmp_path / "more").mkdir()
    unnamed = tmp_path / "more/first.yaml"
    unnamed.write_text(first.path.read_text().replace("name: first\n", ""))
    with pytest.raises(PipelineError, match=r"more/first\.yaml: name: 'first' is the name of"):
        clashing_folders(load_pipeline(unnamed), [first])


@pytest.mark.parametrize("key", ["base_folder", "save_folder"])
@pytest.mark.parametrize("theirs", ["base", "out"])
def test_a_folder_that_another_writes_is_refused(tmp_path: Path, key: str, theirs: str) -> None:
    spelled = f"{tmp_path}/x/../first/{theirs}/"
    said = _said(tmp_path, **{key: spelled})
    lines = (tmp_path / "second.yaml").read_text().splitlines()
    line = next(at for at, text in enumerate(lines, 1) if text.startswith(key))
    assert said.startswith(f"{tmp_path}/second.yaml:{line}: {key}: ")
    assert f"{key}: '{spelled}' is written by {tmp_path}/first.yaml too; give each" in said


def test_a_variable_in_a_folder_counts_by_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_PLACE", f"{tmp_path}/first")
    assert "base_folder: '${TOY_PLACE}/base'" in _said(tmp_path, base_folder="${TOY_PLACE}/base")
