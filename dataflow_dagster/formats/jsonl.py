"""JSON lines: one object a line; blank lines mean nothing."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from dataflow_dagster import rows
from dataflow_dagster.formats.files import Lines, opened
from dataflow_dagster.formats.format import (
    BEGINNING,
    Block,
    Mark,
    cut,
    object_of,
)
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row
from dataflow_dagster.wholes import whole

_LIST_HINT: Final = "; a file that is one JSON list is read where its name ends in .json"


class Jsonl:
    """``.jsonl`` and ``.ndjson``, UTF-8, also gzipped. The last of equal keys in an object wins."""

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """A line that is no JSON object is one failed row.

        Raises:
            InputError: The file is missing, no file, UTF-16 or no gzip.
        """
        with opened(path) as file:
            yield from cut(_Objects(Lines(path, file, start)))

    def write(self, path: Path, given: Iterable[Row]) -> int:
        """One line a row, in order; the file appears under its name when it is whole.

        Returns:
            The number of rows.
        """
        written = 0
        with whole(path) as file:
            for row in given:
                file.write(rows.encode(row) + b"\n")
                written += 1
        return written


class _Objects:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.taken = 0

    @property
    def mark(self) -> Mark:
        return self._lines.mark

    def take(self) -> Row | None:
        while line := self._lines.take():
            self.taken += len(line)
            if not line.isspace():
                return self._parse(line)
        return None

    def _parse(self, line: bytes) -> Row:
        try:
            return object_of(rows.decode(line), line.count(b"{") + line.count(b"["))
        except ValueError as wrong:
            hint = _LIST_HINT if self._lines.line == 1 and line.lstrip().startswith(b"[") else ""
            raise self._lines.failure(f"{wrong}{hint}") from wrong
