import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.json import Json
from dataflow_dagster.formats.lookup import read
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.formats.test_jsonl import VALUES


def _write(tmp_path: Path, content: str | bytes, name: str = "rows.json") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_types_survive(tmp_path: Path, indent: int | None, ensure_ascii: bool) -> None:
    given = [row for row in VALUES if "lone" not in row or ensure_ascii]
    path = _write(tmp_path, json.dumps(given, indent=indent, ensure_ascii=ensure_ascii))

    found = list(read(path))

    assert found == given
    assert [type(value) for value in found[0].values()] == [int, float, type(None), bool]


def test_bom_crlf_and_gzip_are_handled(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf\r\n [\r\n{"a": 1} ,\r\n{"a": 2}\r\n]\r\n'
    assert list(read(_write(tmp_path, content))) == [{"a": 1}, {"a": 2}]
    assert list(read(_write(tmp_path, gzip.compress(content), "x.json.gz"))) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("content", ["[]", " [ \n ] \n"])
def test_an_empty_list_has_no_rows(tmp_path: Path, content: str) -> None:
    assert list(read(_write(tmp_path, content))) == []


def test_rows_are_whole_wherever_the_pieces_read_end(tmp_path: Path) -> None:
    given: list[dict[str, Any]] = [
        {"n": n, "text": 'ü\\"' * (n % 97), "x": n / 7, "no": False, "none": None}
        for n in range(3000)
    ]
    given[1500]["text"] = "long ü" * 100_000
    assert list(read(_write(tmp_path, json.dumps(given, ensure_ascii=False)))) == given


def test_nan_is_read_and_costs_nothing(tmp_path: Path) -> None:
    first, second = read(_write(tmp_path, '[{"a": NaN}, {"a": -Infinity}]'))
    assert isinstance(first, dict)
    assert first["a"] != first["a"]
    assert second == {"a": float("-inf")}


@pytest.mark.parametrize("member", ["5", "[1]", "null", '"text"', "1.5e3"])
def test_a_member_that_is_no_object_costs_one_row(tmp_path: Path, member: str) -> None:
    path = _write(tmp_path, f'[{{"a": 1}},\n{member},\n{{"a": 2}}]')

    first, failed, last = read(path)

    assert (first, last) == ({"a": 1}, {"a": 2})
    assert isinstance(failed, RowError)
    assert failed.kind == "malformed_line"
    assert failed.message.startswith(f"{path}, line 2: ")


def test_bytes_that_are_no_utf8_cost_one_row(tmp_path: Path) -> None:
    path = _write(tmp_path, b'[{"a": 1}, {"a": "\xff"}, {"a": 2}]')
    first, failed, last = read(path)
    assert (first, last) == ({"a": 1}, {"a": 2})
    assert isinstance(failed, RowError)


def test_a_row_nested_too_deeply_costs_one_row(tmp_path: Path) -> None:
    path = _write(tmp_path, '[{"a": 1}, {"a": ' + "[" * 500 + "]" * 500 + '}, {"a": 2}]')
    first, failed, last = read(path)
    assert (first, last) == ({"a": 1}, {"a": 2})
    assert isinstance(failed, RowError)


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ('\n{"a" 2}]', 2),
        ('\n{"a": 2}', 2),
        ('\n{"a": 2', 2),
        ('\n{"a": "x', 2),
        ("", 1),
        ("\n]", 2),
        ("\n{'a': 2}]", 2),
        ('\n{"a":\n\n2 3}]', 4),
        ('\n{"a": ' + "[" * 100_000, 2),
        ('\n{"a": "' + "x" * 200_000, 2),
    ],
)
def test_of_a_broken_file_what_stands_before_is_read(tmp_path: Path, rest: str, line: int) -> None:
    path = _write(tmp_path, '[{"a": 1},' + rest)

    *rows, failed = read(path)

    assert rows[0] == {"a": 1}
    assert isinstance(failed, RowError)
    assert failed.kind == "unreadable_rest"
    assert f"{path}, from line {line} on: " in failed.message


def test_text_after_the_list_is_told(tmp_path: Path) -> None:
    first, failed = read(_write(tmp_path, '[{"a": 1}]\n[{"a": 2}]'))
    assert first == {"a": 1}
    assert isinstance(failed, RowError)
    assert "text after the end of the list" in failed.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        ('{"a": 1}', "begins with an object"),
        ('{"data": [{"a": 1}]}', "one list of objects is allowed"),
        ('{"a": 1}\n{"a": 2}\n', "one object a line is .jsonl"),
        ("5", "is no JSON list"),
    ],
)
def test_anything_but_a_list_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        list(read(_write(tmp_path, content)))


def test_reading_begins_at_any_mark(tmp_path: Path) -> None:
    given = [{"a": n, "t": "ü" * (n % 50)} for n in range(3000)]
    content = "\ufeff" + json.dumps(given, ensure_ascii=False, indent=1)
    path = _write(tmp_path, content.encode().replace("üüü".encode(), b"\xff\xff", 5))
    blocks = list(Json().read(path))
    whole = [str(row) for block in blocks for row in block.rows]

    assert len(whole) == 3000
    for at, block in enumerate(blocks):
        again = [str(row) for block in Json().read(path, block.start) for row in block.rows]
        assert again == whole[at * 64 :]
