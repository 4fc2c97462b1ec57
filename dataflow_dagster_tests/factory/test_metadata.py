from pathlib import Path

import pytest

from dataflow_dagster.factory.metadata import markdown_table, shard_metadata
from dataflow_dagster.rows import Row
from dataflow_dagster.steps.manifest import Manifest, Tally
from dataflow_dagster.steps.shard import Shard
from dataflow_dagster_tests.toys.pipelines import text_rows, write_rows


def _shown(folder: Path, tally: Tally, **engine: str) -> dict[str, object]:
    path = write_rows(folder / "result.jsonl", text_rows(20))
    manifest = Manifest("f", "s", "v", path.stat().st_size, tally, engine)
    shown = shard_metadata(Shard(path), manifest)
    return {name: getattr(value, "value", value) for name, value in shown.items()}


def test_a_shard_shows_its_counts_its_place_and_a_few_rows(tmp_path: Path) -> None:
    tally = Tally(rows=20, computed=10, reused=7, failed=2, skipped=1, tokens=99, seconds=2.0)
    tally.kinds = {"bad_text": 2}
    engine = {"name": "toy", "version": "1.0", "precision": "float32", "device": "cpu"}
    shown = _shown(tmp_path, tally, **engine)
    assert (shown["dagster/row_count"], shown["computed"], shown["reused"]) == (20, 10, 7)
    assert (shown["failed"], shown["skipped"], shown["tokens"]) == (2, 1, 99)
    assert (shown["seconds"], shown["rows_per_second"]) == (2.0, 5.0)
    assert shown["engine"] == "toy 1.0, float32, cpu"
    assert shown["errors"] == "| kind | rows |\n| --- | --- |\n| bad_text | 2 |"
    assert shown["path"] == str(tmp_path / "result.jsonl")
    assert len(str(shown["rows"]).splitlines()) == 10


def test_what_was_not_measured_is_not_shown(tmp_path: Path) -> None:
    shown = _shown(tmp_path, Tally(rows=20, reused=20))
    assert {"rows_per_second", "tokens", "engine", "errors"} & shown.keys() == set()


@pytest.mark.parametrize(
    ("row", "cell"),
    [
        ({"a": "x | y"}, "x \\| y"),
        ({"a": "two\nlines"}, "two lines"),
        ({"a": "\\|"}, "\\\\\\|"),
        ({"a": None}, ""),
        ({"a": [1, {"b": 2}]}, "[1, {'b': 2}]"),
        ({"a": "y" * 200}, "y" * 119 + "…"),
    ],
)
def test_a_cell_cannot_break_its_table(row: Row, cell: str) -> None:
    assert markdown_table([row]).splitlines()[2] == f"| {cell} |"


def test_a_columns_name_cannot_break_its_table() -> None:
    lines = markdown_table([{"a | b\nc": 1}]).splitlines()
    assert lines == ["| a \\| b c |", "| --- |", "| 1 |"]


def test_our_own_columns_stay_away_but_for_the_newest_text_and_picture() -> None:
    row = {"id": 1, "dataflow_text": "t", "dataflow_image": "p", "dataflow_key": "k"}
    assert markdown_table([row]).splitlines()[0] == "| id | dataflow_text | dataflow_image |"
    assert markdown_table([]) == "no rows"
