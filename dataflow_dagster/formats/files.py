"""Input files opened for reading, and the lines of those that have lines."""

import gzip
import io
import zlib
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from dataflow_dagster.formats.format import MOST_RECORD_BYTES, InputError, Mark
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import RowError

_REMOTE_BUFFER: Final = 1 << 20
UTF8_BOM: Final = b"\xef\xbb\xbf"
UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
BROKEN_STREAM: Final = (OSError, EOFError, zlib.error)
"""What a gzip stream that is cut or damaged raises, beside the disk's own errors."""


@contextmanager
def opened(path: AnyPath) -> Generator[BinaryIO]:
    """The file's bytes, unpacked where its name ends in ``.gz``.

    Raises:
        InputError: There is no such file, or it is a folder, or it may not be read.
    """
    with open_raw(path) as raw:
        if path.suffix.lower() != ".gz":
            yield raw
            return
        with gzip.open(raw) as unpacked:
            yield cast("BinaryIO", unpacked)


def open_raw(path: AnyPath) -> BinaryIO:
    """The file's bytes as they are stored.

    Raises:
        InputError: There is no such file, or it is a folder, or it may not be read.
    """
    try:
        if not path.is_file():  # also keeps us from waiting at a pipe that nobody writes to
            raise InputError(path, "is not a file" if path.exists() else "there is no such file")
        if isinstance(path, Path):
            return path.open("rb")
        # What fsspec opens may read no line of bounded length.
        return io.BufferedReader(cast("io.RawIOBase", path.open("rb")), _REMOTE_BUFFER)
    except OSError as refused:
        raise InputError(path, f"cannot be opened: {refused}") from refused


class Lines:
    """The lines of a file one by one; memory is bounded whatever stands in it.

    Attributes:
        position: Bytes before the next line.
        line: Lines before the next line.
    """

    def __init__(self, path: AnyPath, file: BinaryIO, start: Mark) -> None:
        self.path = path
        self.position = start.position
        self.line = start.line
        self._file = file
        self._returned: deque[bytes] = deque()
        self._broken = False
        if start.position:
            file.seek(start.position)

    @property
    def mark(self) -> Mark:
        """Where the next line begins."""
        return Mark(self.position, self.line)

    def take(self) -> bytes:
        """The next line with its line break, without a byte order mark; empty at the end.

        Raises:
            RowError: ``malformed_line``: it is longer than `MOST_RECORD_BYTES`;
                ``unreadable_rest``: the file is damaged from here on.
        """
        raw = self._returned.popleft() if self._returned else self._read()
        first = self.position == 0
        self.position += len(raw)
        self.line += bool(raw)
        if len(raw) > MOST_RECORD_BYTES:
            raise self._overlong()
        return self._without_mark(raw) if first else raw

    def give_back(self, lines: list[bytes]) -> None:
        """Let the lines taken last be taken again, in the same order."""
        self._returned.extendleft(reversed(lines))
        self.position -= sum(map(len, lines))
        self.line -= len(lines)

    def failure(self, reason: str, line: int | None = None) -> RowError:
        """A ``malformed_line`` error that names file and line (default: the one taken last)."""
        return RowError("malformed_line", f"{self.path}, line {line or self.line}: {reason}")

    def _read(self) -> bytes:
        if self._broken:
            return b""
        try:
            return self._file.readline(MOST_RECORD_BYTES + 1)
        except BROKEN_STREAM as broken:
            self._broken = True
            if self.position == 0:
                raise InputError(self.path, f"cannot be read: {broken}") from broken
            message = f"{self.path}, from line {self.line + 1} on: cannot be read: {broken}"
            raise RowError("unreadable_rest", message) from broken

    def _overlong(self) -> RowError:
        more = self._read()
        self.position += len(more)
        while more and not more.endswith(b"\n"):
            more = self._read()
            self.position += len(more)
        return self.failure(f"longer than {MOST_RECORD_BYTES >> 20} MiB")

    def _without_mark(self, raw: bytes) -> bytes:
        if raw.startswith(UTF16_BOMS):
            raise InputError(self.path, "is UTF-16; save it as UTF-8")
        return raw.removeprefix(UTF8_BOM)
