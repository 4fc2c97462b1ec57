"""Writing a shard: rows as they arrive, flushed; sorted and renamed when whole."""

import fcntl
import os
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import IO

from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.rows import Row, decode, encode
from dataflow_dagster.steps.shard import Shard

PARQUET = Parquet()


class ShardBusyError(Exception):
    """Another run is writing the same shard."""


class PartWriter:
    """A shard in the making, and the lock on it. Left without `finish`, the rows stay for resume.

    Args:
        shard: Where the rows go. Its folder is made. An older ``.part`` is kept for the ledger.

    Raises:
        ShardBusyError: Another process writes this shard now.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._starts = array("q")  # number → byte offset of its line, -1: not there yet
        self._size = 0
        self._in_order = True
        self._finished = False
        shard.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open_locked(shard)

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._finished and error is None:
            self._shard.part_path.unlink(missing_ok=True)
            self._shard.interrupted_path.unlink(missing_ok=True)
        self._file.close()

    def append(self, number: int, row: Row) -> None:
        """Write the row that belongs at `number` (from 0) of the shard."""
        line = encode(row) + b"\n"
        self._remember(number)
        self._file.write(line)
        self._size += len(line)

    def flush(self) -> None:
        """Hand all rows to the system, which keeps them when this process is killed."""
        self._file.flush()

    def finish(self, rows: int) -> str:
        """Put the rows in order, make the shard's file of them, and give its data version.

        Args:
            rows: How many rows there must be.

        Raises:
            RowsMismatchError: A row is missing.
        """
        self._file.flush()
        if len(self._starts) != rows or -1 in self._starts:
            missing = rows - sum(start >= 0 for start in self._starts)
            raise RowsMismatchError(f"{self._shard.path}: {missing} of {rows} rows have no answer")
        data_version = self._write_whole()
        self._finished = True
        return data_version

    def _remember(self, number: int) -> None:
        starts = self._starts
        if number == len(starts):
            starts.append(self._size)
            return
        self._in_order = False
        if number > len(starts):
            starts.extend([-1] * (number - len(starts) + 1))
        if starts[number] >= 0:
            raise RowsMismatchError(f"{self._shard.path}: row {number} was answered twice")
        starts[number] = self._size

    def _write_whole(self) -> str:
        whole = self._shard.path.with_name(self._shard.path.name + ".whole")
        digest = blake2b(digest_size=16)
        try:
            self._write_ordered(whole, digest)
            whole.replace(self._shard.path)
        except BaseException:
            whole.unlink(missing_ok=True)  # on a full disk the next run needs the room
            raise
        return digest.hexdigest()

    def _write_ordered(self, whole: Path, digest: "blake2b") -> None:
        if self._shard.path.suffix != ".jsonl":
            PARQUET.write(whole, self._hashed_rows(digest))
            return
        with whole.open("wb") as file:
            for line in self._ordered_lines():
                digest.update(line)
                file.write(line)

    def _hashed_rows(self, digest: "blake2b") -> Iterator[Row]:
        for line in self._ordered_lines():
            digest.update(line)
            yield decode(line)

    def _ordered_lines(self) -> Iterator[bytes]:
        with self._shard.part_path.open("rb") as part:
            if self._in_order:
                yield from part
                return
            for start in self._starts:
                part.seek(start)
                yield part.readline()


class RowsMismatchError(Exception):
    """Answers and rows do not belong together one to one; the shard is stopped."""


def _open_locked(shard: Shard) -> IO[bytes]:
    file = shard.part_path.open("ab")
    try:
        while not _lock(file, shard):
            file.close()  # its owner took it away, the shard being whole, before we had the lock
            file = shard.part_path.open("ab")
        _keep_interrupted(shard)
        file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


def _lock(file: IO[bytes], shard: Shard) -> bool:
    """Whether the lock taken is that of the file that lies there now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ShardBusyError(f"{shard.path} is being written by another run") from None
    try:
        return os.path.samestat(os.fstat(file.fileno()), shard.part_path.stat())
    except FileNotFoundError:
        return False


def _keep_interrupted(shard: Shard) -> None:
    """Move the whole lines of an older ``.part`` to ``.interrupted``, where the ledger looks."""
    if shard.part_path.stat().st_size == 0:
        return
    with shard.part_path.open("rb") as part, shard.interrupted_path.open("ab") as kept:
        kept.write(b"\n")  # a run killed right here may have left half a line
        kept.writelines(line for line in part if line.endswith(b"\n"))
