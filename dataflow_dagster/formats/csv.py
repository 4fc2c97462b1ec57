"""Tables as text, with a header: comma, tab, semicolon or ``|`` between the fields."""

import csv
import re
from collections.abc import Iterator
from typing import Final

from dataflow_dagster.formats.files import Lines, opened
from dataflow_dagster.formats.format import (
    BEGINNING,
    MOST_RECORD_BYTES,
    Block,
    InputError,
    Mark,
    cut,
)
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row, RowError

SEPARATORS: Final = (",", ";", "\t", "|")
"""What a spreadsheet may put between fields, whatever the file's ending."""

_QUOTED: Final = re.compile(r'"[^"]*"')


class Csv:
    """``.csv``, UTF-8, also gzipped. Every value is text; an empty field, quoted or not, is null.

    Text stays text because a csv has no types: ``007``, ``1e5`` and ``NA`` may be names. Quoting is
    that of spreadsheets (``"``, doubled within), line breaks in quotes included. Blank lines mean
    nothing. A record with too many or too few fields is one failed row. So is one whose quotes do
    not match; reading goes on at the line after its first, so that an opened quote never takes the
    rest of the file with it.

    Where the header's line has no comma but another of `SEPARATORS`, that one stands between the
    fields, in all of the file.
    """

    delimiter = ","

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """Rows under the names of the header, which is read anew wherever `start` is.

        Raises:
            InputError: There is no header, or a name in it is empty or stands there twice.
        """
        with opened(path) as file:
            lines = Lines(path, file, BEGINNING)
            delimiter = _delimiter(path, lines, self.delimiter)
            records = _Records(lines, delimiter)
            names = _names(path, records)
            if start != BEGINNING:
                records = _Records(Lines(path, file, start), delimiter)
            yield from cut(_Rows(records, names))


class Tsv(Csv):
    """``.tsv``: as csv, with tabs."""

    delimiter = "\t"


def _delimiter(path: AnyPath, lines: Lines, usual: str) -> str:
    """What stands between the names of the header, which is left to be taken."""
    taken: list[bytes] = []
    try:
        while (line := lines.take()) and line.isspace():
            taken.append(line)
    except RowError as wrong:
        raise InputError(path, f"the header cannot be read: {wrong.message}") from wrong
    lines.give_back([*taken, line])
    plain = _QUOTED.sub("", line.decode(errors="replace"))
    if usual in plain:
        return usual
    found = max(SEPARATORS, key=plain.count)
    return found if found in plain else usual


def _names(path: AnyPath, header: "_Records") -> list[str]:
    try:
        names = header.take()
    except RowError as wrong:
        raise InputError(path, f"the header cannot be read: {wrong.message}") from wrong
    if names is None:
        raise InputError(path, "is empty; the first line names the columns")
    if "" in names:
        hint = "pandas writes its index so; to_csv(index=False) leaves it out"
        raise InputError(path, f"column {names.index('') + 1} has no name in the header ({hint})")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(path, f"the header names {', '.join(map(repr, twice))} more than once")
    return names


class _Rows:
    def __init__(self, records: "_Records", names: list[str]) -> None:
        self._records = records
        self._names = names
        self.taken = 0

    @property
    def mark(self) -> Mark:
        return self._records.lines.mark

    def take(self) -> Row | None:
        before = self._records.lines.position
        fields = self._records.take()
        self.taken += self._records.lines.position - before
        if fields is None:
            return None
        if len(fields) != len(self._names):
            reason = f"{len(fields)} fields; the header names {len(self._names)} columns"
            raise self._records.failure(reason)
        return {name: field or None for name, field in zip(self._names, fields, strict=True)}


class _Records:
    """Lists of fields; knows which lines each was made of."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self.lines = lines
        self._first = 0
        self._used: list[bytes] = []
        self._bytes = 0
        self._problem: str | None = None
        csv.field_size_limit(MOST_RECORD_BYTES)
        self._reader = csv.reader(self, delimiter=delimiter, strict=True)

    def take(self) -> list[str] | None:
        """The next record's fields; None after the last.

        Raises:
            RowError: It cannot be read.
        """
        fields: list[str] = []
        while not fields:
            self._begin()
            try:
                fields = next(self._reader)
            except StopIteration:
                return None
            except csv.Error as wrong:
                self.lines.give_back(self._used[1:])
                raise self.failure(f"no record: {wrong}") from wrong
        if self._problem:
            raise self.failure(self._problem)
        return fields

    def failure(self, reason: str) -> RowError:
        """An error that names the line where the record taken last begins."""
        return self.lines.failure(reason, self._first)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.lines.take()
        if not line:
            raise StopIteration
        self._used.append(line)
        self._bytes += len(line)
        if self._bytes > MOST_RECORD_BYTES:
            raise csv.Error(f"longer than {MOST_RECORD_BYTES >> 20} MiB")
        return self._text(line)

    def _begin(self) -> None:
        self._first = self.lines.line + 1
        self._used.clear()
        self._bytes = 0
        self._problem = None

    def _text(self, line: bytes) -> str:
        if b"\0" in line:
            self._problem = "a NUL byte"
        try:
            return line.decode()
        except UnicodeDecodeError as wrong:
            self._problem = f"not UTF-8: {wrong}"
            return line.decode(errors="replace")
