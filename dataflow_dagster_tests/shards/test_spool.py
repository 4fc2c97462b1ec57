import math
from pathlib import Path

import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.shards.spool import SpoolWriter, read_spool


def _saved(path: Path, *blocks: list[Row | RowError]) -> list[int]:
    with SpoolWriter(path) as spool:
        places = [spool.add(block) for block in blocks]
        spool.save()
    return places


def test_rows_and_errors_come_back_as_they_were_from_any_block_on(tmp_path: Path) -> None:
    odd: Row = {"": [1, 2**200, -0.5, 1.0, None, True], "\ud800": {"a": {}}, "ü\n": "\u2028"}
    blocks: list[list[Row | RowError]] = [[{"n": 0}], [odd, {"n": 1}], [{"n": 2}]]
    places = _saved(tmp_path / "spool", *blocks)
    for at, place in enumerate(places):
        assert list(read_spool(tmp_path / "spool", place)) == blocks[at:]
    assert [entry.name for entry in tmp_path.iterdir()] == ["spool"]


def test_what_json_lacks_and_errors_are_kept_apart_from_null(tmp_path: Path) -> None:
    failed = RowError("malformed_line", "line 3: no\nobject")
    _saved(tmp_path / "spool", [{"nan": math.nan, "inf": -math.inf, "null": None}, failed])
    ((row, error),) = read_spool(tmp_path / "spool", 0)
    assert isinstance(row, dict)
    assert math.isnan(row["nan"])
    assert (row["inf"], row["null"]) == (-math.inf, None)
    assert isinstance(error, RowError)
    assert (error.kind, error.message) == (failed.kind, failed.message)


def test_a_spool_that_was_not_saved_leaves_nothing(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path / "spool") as spool:
        spool.add([{"n": 0}])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 3, 10])
def test_a_damaged_spool_says_what_mends_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "spool"
    _saved(path, [{"n": 0, "text": "some text"}])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match="delete it and run again"):
        list(read_spool(path, 0))
