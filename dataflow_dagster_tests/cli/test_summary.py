from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.cli.summary import print_summary
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")


def _summary(
    folder: Path, capsys: pytest.CaptureFixture[str], **keys: Any
) -> tuple[list[str], list[str]]:
    """Lines on standard output and standard error."""
    of = pipeline(folder, [SHOUT], **keys)
    result = materialize(of)
    capsys.readouterr()
    print_summary(of, [result])
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_a_run_in_which_every_row_failed_is_not_overlooked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": str(number), "text": "bad"} for number in range(3)]
    out, err = _summary(tmp_path, capsys, rows=rows)
    assert err == ["NO ROW HAS A RESULT: all 3 rows failed"]
    assert out[-1] == f"failed rows: {tmp_path}/demo/out/errors.jsonl"


def test_an_input_without_rows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = _summary(tmp_path, capsys, rows=[])
    assert err == [f"NO ROWS: {tmp_path}/demo/in.jsonl is empty"]
    assert out[-1] == f"results: {tmp_path}/demo/out/result.jsonl"


def test_a_missing_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = _summary(tmp_path, capsys, meta_path=f"{tmp_path}/x/gone.jsonl")
    assert len(err) == 1
    assert err[0].startswith(f"raw_meta failed: {tmp_path}/x/gone.jsonl: there is no such file")


def test_too_few_gpus_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAFLOW_GPUS", "0")
    _, err = _summary(tmp_path, capsys, resources={"gpus": 3})
    assert err == ["texts failed: resources.gpus is 3, but this machine offers 1 GPUs (0)"]


def test_what_looks_like_markup_in_a_path_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = _summary(tmp_path, capsys, save_folder=f"{tmp_path}/[red]out[/red]")
    assert out[-1] == f"results: {tmp_path}/[red]out[/red]/result.jsonl"


def test_too_many_failed_rows_say_so_and_where_earlier_results_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _summary(tmp_path, capsys)
    rows = [{"id": "1", "text": "bad"}, {"id": "2", "text": "good"}]
    out, err = _summary(tmp_path, capsys, rows=rows, max_failed=0.1)
    assert err == [
        "texts failed: 1 of 2 rows failed here (bad_text: 1), more than max_failed 10.0%"
    ]
    assert out[-1] == f"results: {tmp_path}/demo/out/result.jsonl"


def test_a_run_that_skipped_every_row_says_which_column_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": str(number), "Text": "x"} for number in range(3)]
    _, err = _summary(tmp_path, capsys, rows=rows)
    assert err == [
        "NO ROW WAS ANSWERED: texts skipped all 3 rows",
        "no row has a column 'text' (text_key); the columns are id, Text; did you mean 'Text'?",
    ]


def test_a_run_whose_column_is_empty_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = _summary(tmp_path, capsys, rows=[{"id": "1", "text": None}])
    assert err[1] == "column 'text' (text_key) is empty in all rows"


def test_a_folder_of_other_files_is_not_called_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/README.md").write_text("read me")
    _, err = _summary(tmp_path, capsys, meta_path=str(tmp_path / "in"))
    assert err[0].startswith(f"NO ROWS: {tmp_path}/in holds no file of rows (.csv, .tsv, .parquet")
    assert ".webp" in err[0]
