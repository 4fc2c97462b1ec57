import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataflow_dagster.cli.main import main
from dataflow_dagster_tests.toys.pipelines import NAME, SHOUT, write_pipeline

pytestmark = pytest.mark.usefixtures("toys")


def _check(folder: Path, *, step: dict[str, Any] = SHOUT, **keys: Any) -> Result:
    return CliRunner().invoke(main, ["check", "-c", str(write_pipeline(folder, [step], **keys))])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "id,text\n1,x\n".encode("utf-16"), "is UTF-16; save it as UTF-8"),
        ("a.csv", b"", "is empty; the first line names the columns"),
        ("a.json", b'{"text": "x"}', "begins with an object"),
        ("a.jsonl", b'[{"text": "x"}]', "no row can be read"),
        ("a.csv", b"1,x\n2,y\n", "no row has a column 'text' (text_key); the columns are 1, x"),
        ("a.csv", b"id,Text\n2,y\n", "did you mean 'Text'?"),
        ("a.csv", b"id,text\n2,\n", "column 'text' (text_key) is empty in all rows"),
    ],
)
def test_an_input_that_gives_no_row_to_a_step_is_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    checked = _check(tmp_path, meta_path=str(tmp_path / name))
    assert checked.exit_code == 2
    assert said in checked.stderr
    assert checked.stdout == ""


def test_rows_that_cannot_be_read_are_a_warning_with_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('[\n{"text": "x"}\n]\n')
    checked = _check(tmp_path, meta_path=str(tmp_path / "a.jsonl"))
    assert checked.exit_code == 0
    assert "warning: 2 of the first 3 rows cannot be read, the first of them: " in checked.stderr
    assert "where its name ends in .json" in checked.stderr


def test_another_separator_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id;text\n1;x\n")
    assert _check(tmp_path, meta_path=str(tmp_path / "a.csv")).exit_code == 0


def test_a_column_that_may_come_later_is_a_warning(tmp_path: Path) -> None:
    rows = [{"id": n} for n in range(300)]
    checked = _check(tmp_path, rows=[*rows, {"id": 300, "text": "x"}])
    assert checked.exit_code == 0
    assert "none of the first 200 rows has a column 'text'" in checked.stderr


def test_a_mistyped_key_is_told_with_the_nearest_column(tmp_path: Path) -> None:
    checked = _check(tmp_path, text_key="tekst")
    assert "column 'tekst' (text_key); the columns are id, text; did you mean" in checked.stderr
    step = {**SHOUT, "input_key": "txt"}
    assert "column 'txt' (input_key)" in _check(tmp_path, step=step).stderr


def test_folders_are_looked_at_and_every_reason_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    keys = {key: str(tmp_path / "taken") for key in ("base_folder", "save_folder")}
    rows = [{"image": "a.png"}]
    checked = _check(tmp_path, step=NAME, rows=rows, meta_folder=str(tmp_path / "gone"), **keys)
    assert checked.exit_code == 2
    assert checked.stderr.splitlines() == [
        f"base_folder: {tmp_path}/taken cannot be written: {tmp_path}/taken is a file",
        f"save_folder: {tmp_path}/taken cannot be written: {tmp_path}/taken is a file",
        f"meta_folder: {tmp_path}/gone: no such folder",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    checked = _check(tmp_path, save_folder=str(tmp_path / "closed/out"))
    assert "may not be written by this user" in checked.stderr


def test_an_input_without_rows_is_a_warning_that_names_the_endings(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/readme.txt").write_text(json.dumps({"text": "x"}))
    checked = _check(tmp_path, meta_path=str(tmp_path / "in"))
    assert checked.exit_code == 0
    assert "holds no file of rows (.csv," in checked.stderr
