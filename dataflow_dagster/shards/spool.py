"""Rows of a file that can only be read from its start, kept so that reading begins anywhere."""

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.rows import Row, RowError, decode
from dataflow_dagster.wholes import sync

_LENGTH: Final = struct.Struct("<I")
_LEVEL: Final = 1
"""zlib's fastest: jsonl of captions shrinks to a fourth, at some 100 MB/s."""


class SpoolWriter:
    """Takes blocks of rows; ``<4 bytes: length><zlib of that length>`` for each.

    A spool holds what its rows hold, compressed: it is smaller than the rows that raw_meta makes
    of them. The file appears under its name when it is saved; else nothing is left.

    Args:
        path: Where the spool is to be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._file: BinaryIO = self._part.open("wb")
        self._size = 0

    def __enter__(self) -> "SpoolWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, block: Sequence[Row | RowError]) -> int:
        """Write one block; gives the place where it can be read again."""
        start = self._size
        packed = zlib.compress(b"\n".join(map(_line, block)), _LEVEL)
        self._size += self._file.write(_LENGTH.pack(len(packed)))
        self._size += self._file.write(packed)
        return start

    def save(self) -> None:
        """Let the spool stand under its name."""
        sync(self._file)
        self._file.close()
        self._part.replace(self._path)


def read_spool(path: Path, start: int) -> Iterator[list[Row | RowError]]:
    """The blocks from the one at place `start` on, the same rows and errors as were added.

    Raises:
        InputError: The spool is gone or damaged, which making the index anew mends.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            while head := file.read(_LENGTH.size):
                packed = file.read(_LENGTH.unpack(head)[0])
                yield [_row(decode(line)) for line in zlib.decompress(packed).split(b"\n")]
    except (OSError, ValueError, struct.error, zlib.error) as broken:
        raise InputError(path, f"cannot be read ({broken}): delete it and run again") from broken


def _line(row: Row | RowError) -> bytes:
    """Python's own encoder: it keeps NaN and Infinity apart from null."""
    value = [row.kind, row.message] if isinstance(row, RowError) else row
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _row(value: Row | list[str]) -> Row | RowError:
    return RowError(*value) if isinstance(value, list) else value
