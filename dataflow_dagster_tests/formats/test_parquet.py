import base64
import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.formats.lookup import read
from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.rows import RowError

COLUMNS: dict[str, list[Any]] = {
    "int": [1, -(2**63), None],
    "big": [2**70, 1, None],
    "float": [0.5, -1e300, None],
    "bool": [True, False, None],
    "text": ["übung", "", None],
    "lone": ["\ud800", "x", None],
    "nulls": [None, None, None],
    "numbers and text": [1, "1", None],
    "bool and int": [True, 1, None],
    "long and float": [2**60 + 1, 0.5, None],
    "lists": [[1, 2], [], None],
    "empty lists": [[], [], [None]],
    "mixed lists": [[1, "a"], [None], None],
    "nested lists": [[[1.5]], [[], None], [[0.25, None]]],
    "objects": [{"a": 1, "b": [{"c": "x"}]}, {"a": None, "b": []}, None],
    "other keys": [{"a": 1}, {"b": 2}, {}],
    "no keys": [{}, {}, None],
    "object or list": [{"a": 1}, [1], "a"],
}


def _typed(value: Any) -> Any:
    """1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {name: _typed(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_typed(child) for child in value]
    return (type(value), value)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    given = [{name: value} for value in COLUMNS[name]]
    path = tmp_path / "rows.parquet"

    assert Parquet().write(path, iter(given)) == 3

    assert [_typed(row) for row in read(path)] == [_typed(row) for row in given]
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.parquet"]


def test_only_what_has_no_type_of_its_own_becomes_json_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    Parquet().write(path, [{name: COLUMNS[name][at] for name in COLUMNS} for at in range(3)])

    marked = {field.name for field in pq.read_schema(path) if field.metadata}

    assert marked == {
        *("big", "lone", "numbers and text", "bool and int", "long and float"),
        *("mixed lists", "other keys", "no keys", "object or list"),
    }


def test_integers_among_floats_become_floats(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    Parquet().write(path, [{"x": 1}, {"x": 0.5}, {"x": 2**53}])
    assert pq.read_table(path)["x"].to_pylist() == [1.0, 0.5, 2.0**53]


def test_a_column_that_a_row_lacks_is_null(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    Parquet().write(path, [{"a": 1}, {"b": "x"}, {}])
    assert list(read(path)) == [{"a": 1, "b": None}, {"a": None, "b": "x"}, {"a": None, "b": None}]


def test_a_finished_jsonl_file_is_converted_in_row_groups(tmp_path: Path) -> None:
    given = [{"n": n, "late": None if n < 16_500 else {"a": n}} for n in range(17_000)]
    Jsonl().write(tmp_path / "rows.jsonl", given)

    assert Parquet().convert(tmp_path / "rows.jsonl", tmp_path / "rows.parquet") == 17_000

    assert pq.ParquetFile(tmp_path / "rows.parquet").num_row_groups == 2
    assert list(read(tmp_path / "rows.parquet")) == given


def test_no_rows_make_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    assert Parquet().write(path, []) == 0
    assert list(read(path)) == []


def test_rows_without_any_column_are_refused_rather_than_lost(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without any column"):
        Parquet().write(tmp_path / "rows.parquet", [{}, {}])
    assert not (tmp_path / "rows.parquet").exists()


def _table(tmp_path: Path, table: pa.Table) -> Path:
    pq.write_table(table, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([b"\xff\0"]), base64.b64encode(b"\xff\0").decode()),
        (pa.array([Decimal("1.10")]), "1.10"),
        (pa.array([datetime.date(2024, 2, 29)]), "2024-02-29"),
        (pa.array([datetime.time(1, 2, 3)]), "01:02:03"),
        (pa.array([1], pa.timestamp("s")), "1970-01-01T00:00:01"),
        (pa.array([1], pa.timestamp("ns")), "1970-01-01T00:00:00.000000001"),
        (pa.array([1], pa.timestamp("us", "UTC")), "1970-01-01T00:00:00.000001+00:00"),
        (pa.array([1500], pa.duration("ms")), 1.5),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int32())), {"a": 1, "b": 2}),
        (pa.array([[(7, b"x")]], pa.map_(pa.int32(), pa.binary())), {"7": "eA=="}),
        (pa.array([{"bytes": b"x", "path": None}]), {"bytes": "eA==", "path": None}),
        (pa.array([[1, 2]], pa.list_(pa.uint8(), 2)), [1, 2]),
        (pa.array([0.5], pa.float16()), 0.5),
        (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
        (pa.array(["x"], pa.large_string()), "x"),
    ],
    ids=str,
)
def test_foreign_types_become_json_values(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    path = _table(tmp_path, pa.table({"a": array}))
    (row,) = read(path)
    assert row == {"a": expected}


def test_a_value_that_python_cannot_hold_costs_one_row(tmp_path: Path) -> None:
    years = pa.array([0, 2**60, 1_000_000], pa.timestamp("us"))
    path = _table(tmp_path, pa.table({"when": years, "n": [1, 2, 3]}))

    first, failed, last = read(path)

    assert first == {"when": "1970-01-01T00:00:00", "n": 1}
    assert last == {"when": "1970-01-01T00:00:01", "n": 3}
    assert isinstance(failed, RowError)
    assert f"{path}, row 2, column 'when': " in failed.message


def test_text_that_is_no_utf8_costs_one_row(tmp_path: Path) -> None:
    bad = pa.array([b"good", b"\xff\xfe", b"fine"]).view(pa.string())
    path = _table(tmp_path, pa.table({"text": bad}))
    first, failed, last = read(path)
    assert (first, last) == ({"text": "good"}, {"text": "fine"})
    assert isinstance(failed, RowError)


def test_a_damaged_row_group_costs_its_own_rows(tmp_path: Path) -> None:
    texts = [f"row {n} " * 20 for n in range(3000)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": texts}), path, row_group_size=1000, use_dictionary=False)
    column = pq.read_metadata(path).row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset : column.data_page_offset + 400] = b"\xff" * 400
    path.write_bytes(content)

    found = list(read(path))

    assert len(found) == 3000
    assert found[:1000] == [{"text": text} for text in texts[:1000]]
    assert all(isinstance(row, RowError) for row in found[1000:2000])
    assert found[2000:] == [{"text": text} for text in texts[2000:]]


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_cut_file_is_refused_by_name(tmp_path: Path, keep: int) -> None:
    path = _table(tmp_path, pa.table({"n": list(range(1000))}))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot be read as parquet") as refused:
        list(read(path))
    assert refused.value.path == str(path)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(InputError, match="the column 'a' more than once"):
        list(read(_table(tmp_path, table)))


def test_a_column_whose_name_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = _table(tmp_path, pa.table({"abcdefgh": [1]}).replace_schema_metadata())
    path.write_bytes(path.read_bytes().replace(b"abcdefgh", b"abc\xffefgh"))
    with pytest.raises(InputError, match="cannot be read as parquet"):
        list(read(path))


def test_a_file_without_columns_has_rows_without_values(tmp_path: Path) -> None:
    assert list(read(_table(tmp_path, pa.table({"a": [1, 2]}).select([])))) in ([], [{}, {}])


def test_reading_begins_at_any_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"n": list(range(3000))}), path, row_group_size=1300)
    for block in Parquet().read(path):
        first = block.rows[0]
        assert isinstance(first, dict)
        assert block.start.position == first["n"]
        again = [row for rest in Parquet().read(path, block.start) for row in rest.rows]
        assert again == [{"n": n} for n in range(first["n"], 3000)]
