import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.formats import files
from dataflow_dagster.formats.format import InputError, Mark
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.formats.lookup import read
from dataflow_dagster.rows import Row, RowError

VALUES: list[dict[str, Any]] = [
    {"n": 1, "x": 1.0, "none": None, "yes": True},
    {"n": 123456789012345678901234567890, "x": -0.5, "list": [1, [2.5, None], {"a": []}]},
    {"text": "übung 写真 \U0001f408", "": "empty name", "object": {"deep": {"er": [{}]}}},
    {"lone": "\ud800", "id": "1234567890123456789012"},
    {},
]


def _write(tmp_path: Path, content: bytes, name: str = "rows.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_types_survive_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"

    assert Jsonl().write(path, VALUES) == len(VALUES)

    found = list(read(path))
    assert found == VALUES
    assert [type(value) for value in found[0].values()] == [int, float, type(None), bool]
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]


def test_unicode_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Jsonl().write(path, [{"text": "übung 写真"}])
    assert "übung 写真".encode() in path.read_bytes()


def test_a_failed_write_leaves_the_file_of_before(tmp_path: Path) -> None:
    path = _write(tmp_path, b'{"a": 1}\n')

    def rows() -> Iterator[Row]:
        yield {"a": 2}
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError):
        Jsonl().write(path, rows())
    assert list(read(path)) == [{"a": 1}]


def test_blank_lines_crlf_bom_and_a_missing_last_line_break_mean_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\r\n \t\n{"a": 2}\r\n\n{"a": 3}')
    assert list(read(path)) == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    path = _write(tmp_path, gzip.compress(b'{"a": 1}\n{"a": 2}\n'), "rows.JSONL.GZ")
    assert list(read(path)) == [{"a": 1}, {"a": 2}]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert list(read(_write(tmp_path, b""))) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{'a': 1}", "Expecting property name"),
        (b'{"a": 1', "delimiter"),
        (b'{"a": 1}{"a": 2}', "Extra data"),
        (b"[1, 2]", "a list where an object {...} is needed"),
        (b"null", "null where"),
        (b"5", "a number where"),
        (b'{"a": "\xff"}', "'utf-8' codec can't decode byte 0xff"),
        (b'{"a": "\0"}', "Invalid control character"),
        (b"\0\0\0\0", ""),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ' + b"[" * 500 + b"]" * 500 + b"}", "nested more than 200 levels"),
        (b'{"a": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_a_malformed_line_costs_one_row(tmp_path: Path, line: bytes, reason: str) -> None:
    path = _write(tmp_path, b'{"a": 1}\n\n' + line + b'\n{"a": 2}\n')

    first, failed, last = read(path)

    assert (first, last) == ({"a": 1}, {"a": 2})
    assert isinstance(failed, RowError)
    assert failed.kind == "malformed_line"
    assert f"{path}, line 3: " in failed.message
    assert reason in failed.message


def test_nan_infinity_and_duplicate_keys_are_read_as_python_reads_them(tmp_path: Path) -> None:
    path = _write(tmp_path, b'{"a": Infinity, "b": NaN, "c": 1, "c": 2}\n')
    (row,) = read(path)
    assert isinstance(row, dict)
    assert row["a"] == float("inf")
    assert row["b"] != row["b"]
    assert row["c"] == 2


def test_an_overlong_line_costs_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_RECORD_BYTES", 1 << 20)
    long = b'{"a": "' + b"x" * (5 << 20) + b'"}\n'
    path = _write(tmp_path, b'{"a": 1}\n' + long + b'{"a": 2}\n')

    first, failed, last = read(path)

    assert (first, last) == ({"a": 1}, {"a": 2})
    assert isinstance(failed, RowError)
    assert failed.message == f"{path}, line 2: longer than 1 MiB"


def test_a_text_of_one_megabyte_is_one_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Jsonl().write(path, [{"text": "x" * 1_000_000}])
    assert list(read(path)) == [{"text": "x" * 1_000_000}]


def test_of_a_cut_gzip_file_what_is_whole_is_read(tmp_path: Path) -> None:
    lines = b"".join(b'{"a": %d, "b": "%d"}\n' % (n, n * 7919) for n in range(50_000))
    packed = gzip.compress(lines)
    path = _write(tmp_path, packed[: len(packed) // 2], "rows.jsonl.gz")

    *rows, failed = read(path)

    assert len(rows) > 20_000
    assert rows == [{"a": n, "b": str(n * 7919)} for n in range(len(rows))]
    assert isinstance(failed, RowError)
    assert failed.kind == "unreadable_rest"
    assert f"from line {len(rows) + 1} on" in failed.message


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("rows.jsonl.gz", b'{"a": 1}\n', "cannot be read: Not a gzipped file"),
        ("rows.jsonl", '{"a": 1}\n'.encode("utf-16"), "is UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = _write(tmp_path, content, name)
    with pytest.raises(InputError, match=reason) as refused:
        list(read(path))
    assert refused.value.path == str(path)


@pytest.mark.parametrize("packed", [False, True])
def test_reading_begins_at_any_mark(tmp_path: Path, packed: bool) -> None:
    lines = b"\xef\xbb\xbf" + b"".join(b'{"a": %d}\r\n\n' % n for n in range(3000)) + b"bad\n"
    name = "rows.jsonl.gz" if packed else "rows.jsonl"
    path = _write(tmp_path, gzip.compress(lines) if packed else lines, name)
    blocks = list(Jsonl().read(path))
    whole = [str(row) for block in blocks for row in block.rows]

    assert len(blocks) == 47
    for at, block in enumerate(blocks):
        again = [str(row) for block in Jsonl().read(path, block.start) for row in block.rows]
        assert again == whole[at * 64 :]
    assert blocks[1].start == Mark(3 + sum(len(b'{"a": %d}\r\n\n' % n) for n in range(64)) - 1, 127)


@pytest.mark.parametrize("content", ['[{"a": 1}, {"a": 2}]', '[\n{"a": 1}\n]\n'])
def test_a_json_list_under_the_wrong_ending_is_told_which_is_right(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    first = next(iter(read(path)))
    assert isinstance(first, RowError)
    assert first.message.endswith(
        "a file that is one JSON list is read where its name ends in .json"
    )
