"""One file of earlier answers: finished rows, or those that a killed run left."""

from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from dataflow_dagster.formats.format import Block, InputError, Mark
from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.ledger.key_index import KeyIndex
from dataflow_dagster.ledger.keys import Keys, KeysHeader, read_keys
from dataflow_dagster.rows import ERROR, KEY, KEY_BYTES, Row, RowError, answer_column, decode
from dataflow_dagster.stores import mirrors

_PARQUET = Parquet()
_PARQUET_BEGINS = b"PAR1"
_HEX = 2 * KEY_BYTES


class AnswerFile:
    """The good answers of one file, taken by their number in the order of its rows.

    Args:
        path: jsonl, or parquet, whatever its name.
        folder: The step folder that media paths in its answers are relative to.
        asset: Names the column of its answers.
        header: Of the keys file beside it; None: the rows themselves are gone through.
        keys_path: That keys file.

    Attributes:
        rows: As `Origin.rows`; empty: not known, or there are no marks.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        asset: str,
        *,
        header: KeysHeader | None = None,
        keys_path: Path | None = None,
    ) -> None:
        self.path = path
        self.folder = folder
        self.column = answer_column(asset)
        self.rows = "" if header is None else header.origin.rows
        self._header = header
        self._keys_path = keys_path
        self._keys: Keys | None = None
        self._index: KeyIndex | None = None
        self._file: IO[bytes] | None = None
        self._position = 0
        self._blocks: Iterator[Block] = iter(())
        self._block = Block(Mark(0, 0), [])

    def keys(self) -> Keys:
        """All its good answers' keys; none where the file is gone or damaged."""
        if self._keys is not None:
            return self._keys
        if self._header is None or self._keys_path is None:
            self._keys = self._found()
            return self._keys
        try:
            return read_keys(self._keys_path, self._header)
        except (OSError, ValueError):
            return Keys(array("q"), b"")

    def open(self) -> None:
        """Hold the keys in memory and the file open until `close`."""
        self._keys = self.keys()

    def close(self) -> None:
        """Let go of the file, and of keys that can be read again."""
        if self._file is not None:
            self._file.close()
        self._file, self._position = None, 0
        self._blocks, self._block = iter(()), Block(Mark(0, 0), [])
        self._index = None
        if self._header is not None:
            self._keys = None

    def record_of(self, digest: bytes, record: int) -> int | None:
        """Which answer has that key: `record`, unless it was replaced since it was looked up."""
        keys = self.keys()
        if record < len(keys) and keys.digest(record) == digest:
            return record
        if self._index is None:
            self._index = KeyIndex([self.keys], self.path.parent)
        found = (place.record for place in self._index.find(digest))
        return next((record for record in found if keys.digest(record) == digest), None)

    def line(self, place: int) -> bytes | None:
        """The line that begins at `place`, in jsonl; None: it is parquet, or no longer there."""
        try:
            file = self._file or self._opened()
            if file is None:
                return None
            if place != self._position:
                file.seek(place)
            line = file.readline()
        except OSError:
            return None
        self._position = place + len(line)
        return line

    def lines(self, places: "array[int]") -> bytes | None:
        """As `line`, of lines that follow one another; None also if there are others between."""
        try:
            file = self._file or self._opened()
            if file is None:
                return None
            file.seek(places[0])
            read = file.read(places[-1] - places[0]) + file.readline()
        except OSError:
            return None
        self._position = places[0] + len(read)
        return read if read.count(b"\n") == len(places) else None

    def row(self, place: int) -> Row | None:
        """The row at `place`; None: it is no longer there."""
        try:
            line = self.line(place)
            row = self._parquet_row(place) if line is None else decode(line)
        except (InputError, ValueError):
            return None
        return row if isinstance(row, dict) else None

    def _opened(self) -> IO[bytes] | None:
        """The file, if it is jsonl."""
        if self._block.rows:
            return None
        if not self.path.exists():
            mirrors.bring(self.path)
        file = self.path.open("rb")
        if file.read(len(_PARQUET_BEGINS)) == _PARQUET_BEGINS:
            file.close()
            return None
        file.seek(0)
        self._file, self._position = file, 0
        return file

    def _parquet_row(self, place: int) -> Row | RowError | None:
        ahead = place - self._block.start.position
        if not 0 <= ahead < len(self._block.rows):
            if ahead != len(self._block.rows) or not self._block.rows:
                self._blocks = _PARQUET.read(self.path, Mark(place, 0))
            self._block = next(self._blocks, Block(Mark(place, 0), []))
            ahead = place - self._block.start.position
        rows = self._block.rows
        return rows[ahead] if 0 <= ahead < len(rows) else None

    def _found(self) -> Keys:
        """The good answers among the rows; damaged lines are rows not known."""
        keys = Keys(array("q"), bytearray())
        for place, row in self._rows():
            digest = good_key(row, self.column)
            if digest is not None:
                keys.places.append(place)
                keys.digests.extend(digest)  # pyright: ignore[reportAttributeAccessIssue]
        return keys

    def _rows(self) -> Iterator[tuple[int, object]]:
        try:
            with self.path.open("rb") as file:
                if file.read(len(_PARQUET_BEGINS)) != _PARQUET_BEGINS:
                    file.seek(0)
                    yield from _lines(file)
                    return
            for block in _PARQUET.read(self.path):
                yield from enumerate(block.rows, block.start.position)
        except (OSError, InputError):
            return  # gone, or cut by a dying disk: its rows are answered anew


def good_key(row: object, column: str) -> bytes | None:
    """The key of a row's answer, if the row is one and the answer a good one."""
    if not isinstance(row, dict) or row.get(ERROR) is not None or row.get(column) is None:
        return None
    return row_key(row)


def row_key(row: Row) -> bytes | None:
    """The key that a row carries, if it is one."""
    key = row.get(KEY)
    try:
        digest = bytes.fromhex(key) if isinstance(key, str) and len(key) == _HEX else b""
    except ValueError:
        return None
    return digest if len(digest) == KEY_BYTES else None


def _lines(file: IO[bytes]) -> Iterator[tuple[int, object]]:
    place = 0
    for line in file:
        if line.endswith(b"\n"):  # a part that is cut within a line ends in half a row
            with suppress(ValueError):
                yield place, decode(line)
        place += len(line)
