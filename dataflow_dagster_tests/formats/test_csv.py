import gzip
from pathlib import Path

import pytest

from dataflow_dagster.formats import csv as csv_format
from dataflow_dagster.formats.csv import Csv, Tsv
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.lookup import format_of, read
from dataflow_dagster.rows import Row, RowError


def _write(tmp_path: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _split(path: Path) -> tuple[list[Row], list[RowError]]:
    found = list(read(path))
    rows = [row for row in found if isinstance(row, dict)]
    return rows, [row for row in found if isinstance(row, RowError)]


def test_every_value_is_text_and_an_empty_field_is_null(tmp_path: Path) -> None:
    path = _write(tmp_path, 'a,b,c\n007,1e5,NA\n,"", \n')
    assert list(read(path)) == [
        {"a": "007", "b": "1e5", "c": "NA"},
        {"a": None, "b": None, "c": " "},
    ]


def test_bom_crlf_blank_lines_and_quotes_are_handled(tmp_path: Path) -> None:
    path = _write(tmp_path, '\ufeffa,"b, c"\r\n\r\n"x ""y""","1\r\n2"\r\n\n写真,z')
    assert list(read(path)) == [{"a": 'x "y"', "b, c": "1\r\n2"}, {"a": "写真", "b, c": "z"}]


def test_tsv_splits_at_tabs_and_gzip_is_unpacked(tmp_path: Path) -> None:
    path = _write(tmp_path, gzip.compress(b"a\tb\n1,5\t2\n"), "rows.tsv.gz")
    assert list(read(path)) == [{"a": "1,5", "b": "2"}]


def test_a_header_alone_is_no_row(tmp_path: Path) -> None:
    assert list(read(_write(tmp_path, "a,b\n"))) == []


def test_ragged_records_cost_one_row_each(tmp_path: Path) -> None:
    path = _write(tmp_path, 'a,b\n1,2\n3\n4,5,6\n"x\ny",7\n8,9,"\n"\n10,11\n')

    rows, errors = _split(path)

    assert rows == [{"a": "1", "b": "2"}, {"a": "x\ny", "b": "7"}, {"a": "10", "b": "11"}]
    assert [error.kind for error in errors] == ["malformed_line"] * 3
    assert [error.message for error in errors] == [
        f"{path}, line 3: 1 fields; the header names 2 columns",
        f"{path}, line 4: 3 fields; the header names 2 columns",
        f"{path}, line 7: 3 fields; the header names 2 columns",
    ]


@pytest.mark.parametrize("bad", [b"\0,1", b"\xff,1", b'"x\n\xff",1', b'"a"b,1'])
def test_a_record_that_cannot_be_read_costs_one_row(tmp_path: Path, bad: bytes) -> None:
    path = _write(tmp_path, b"a,b\n1,2\n" + bad + b"\n3,4\n")

    rows, (error,) = _split(path)

    assert rows == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert error.message.startswith(f"{path}, line 3: ")


@pytest.mark.parametrize("rest", ["", '\n7,"8"'])
def test_an_unclosed_quote_costs_its_line_and_not_the_rest(tmp_path: Path, rest: str) -> None:
    path = _write(tmp_path, 'a,b\n1,2\n"3,4\n5,6' + rest)

    rows, (error,) = _split(path)

    assert rows[:2] == [{"a": "1", "b": "2"}, {"a": "5", "b": "6"}]
    assert error.message.startswith(f"{path}, line 3: ")


def test_an_overlong_record_costs_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "MOST_RECORD_BYTES", 10_000)
    path = _write(tmp_path, 'a,b\n"1,2\n' + "3,4\n" * 5000)

    rows, (error,) = _split(path)

    assert rows == [{"a": "3", "b": "4"}] * 5000
    assert f"{path}, line 2: " in error.message


def test_a_text_of_one_megabyte_is_one_value(tmp_path: Path) -> None:
    path = _write(tmp_path, "a,b\n1," + "x" * 1_000_000 + "\n")
    assert list(read(path)) == [{"a": "1", "b": "x" * 1_000_000}]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "is empty; the first line names the columns"),
        ("\n\n", "is empty"),
        ("a,,b\n1,2,3\n", "column 2 has no name"),
        ("a,b,a\n1,2,3\n", "the header names 'a' more than once"),
        (b"a,\xff\n1,2\n", "the header cannot be read"),
    ],
)
def test_a_header_that_names_no_columns_is_refused(
    tmp_path: Path, header: str | bytes, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        list(read(_write(tmp_path, header)))


def test_reading_begins_at_any_mark(tmp_path: Path) -> None:
    records = [f'{n},"line one\nline {n}"\r\n' for n in range(1500)] + ['bad "quote\n', "1\n"]
    path = _write(tmp_path, "\ufeffa,b\n" + "".join(records))
    blocks = list(Csv().read(path))
    whole = [str(row) for block in blocks for row in block.rows]

    assert len(whole) == 1502
    assert len(blocks) == 24
    for at, block in enumerate(blocks):
        again = [str(row) for block in Csv().read(path, block.start) for row in block.rows]
        assert again == whole[at * 64 :]


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_header_with_another_separator_tells_that_of_its_file(
    tmp_path: Path, name: str, separator: str
) -> None:
    fields = [f"n{separator}text", *(f'{n}{separator}"a{separator}b, c\n{n}"' for n in range(200))]
    path = _write(tmp_path, "\ufeff\n" + "\n".join(fields) + "\n", name)
    blocks = list(Csv().read(path) if name == "rows.csv" else Tsv().read(path))
    rows = [row for block in blocks for row in block.rows]
    assert rows == [{"n": str(n), "text": f"a{separator}b, c\n{n}"} for n in range(200)]
    again = [row for block in format_of(path).read(path, blocks[-1].start) for row in block.rows]
    assert again == rows[-len(again) :]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("a;b,c", ["a;b", "c"]),
        ('"a;b"', ["a;b"]),
        ("text", ["text"]),
        ("a;b|c;d", ["a", "b|c", "d"]),
    ],
)
def test_the_usual_separator_wins_and_quoted_ones_do_not_count(
    tmp_path: Path, header: str, names: list[str]
) -> None:
    values = header.replace("a", "1")
    (row,) = read(_write(tmp_path, f"{header}\n{values}\n"))
    assert isinstance(row, dict)
    assert list(row) == names
