"""Writing a shard: rows as they arrive, flushed; in order and renamed when whole."""

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.ledger.before import bring_kept, keep_before, spent
from dataflow_dagster.ledger.flushing import FLUSHER
from dataflow_dagster.ledger.interrupted import keep_interrupted
from dataflow_dagster.ledger.keys import MARK_BYTES, Keys, Origin, write_keys
from dataflow_dagster.ledger.ownership import Ownership, ShardBusyError
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.ledger.trail import Trail, trail_of
from dataflow_dagster.rows import Row, encode
from dataflow_dagster.stores import mirrors
from dataflow_dagster.wholes import sync

PARQUET = Parquet()
_BUFFER_BYTES = 1 << 18
_NOT_THERE = -1
_WHOLE = ".whole"
_ORDERED = ".ordered"


class RowsMismatchError(Exception):
    """Answers and rows do not belong together one to one; the shard is stopped."""


class PartWriter:
    """A shard in the making, and the right to make it. Left without `finish`, its rows stay.

    Args:
        shard: Where the rows go. Its folder is made. An older ``.part`` is kept for the ledger.
        origin: Whose answers the rows hold; None: they hold none that a ledger could use.

    Raises:
        ShardBusyError: Another process writes this shard now.
    """

    def __init__(self, shard: Shard, origin: Origin | None = None) -> None:
        self._shard = shard
        self._origin = origin
        self._starts = array("q")  # number → byte offset of its line
        self._answered = array("q")  # numbers of good answers, as they arrived
        self._digests = bytearray()  # their keys
        self._marks = bytearray()  # of the lines they were made of
        self._size = 0
        self._in_order = True
        self._finished = False
        self._spent: list[Path] = []  # files whose answers the new rows all hold
        self._digest = blake2b(digest_size=16)  # of all rows, while they arrive in order
        shard.path.parent.mkdir(parents=True, exist_ok=True)
        asset = "" if origin is None else origin.asset
        self._ownership = Ownership(shard.owner_path, shard.path, asset)
        self._trail: Trail | None = None
        try:
            if origin is not None:
                self._trail = trail_of(shard, origin.asset, self._ownership.check)
                bring_kept(shard, origin)
            keep_interrupted(shard.part_path, shard.interrupted_path)
            for ending in (_WHOLE, _ORDERED):  # a run killed as it finished left them
                shard.path.with_name(shard.path.name + ending).unlink(missing_ok=True)
            self._file = shard.part_path.open("wb", buffering=_BUFFER_BYTES)
        except BaseException:
            if self._trail is not None:
                self._trail.end(finished=False)
            self._ownership.release(finished=False)
            raise
        FLUSHER.add(self._file)

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        done = self._finished and error is None
        try:
            if self._trail is not None:
                self._trail.end(finished=done)
            FLUSHER.remove(self._file)
            self._file.close()
            if done:
                mirrors.remove(*self._spent)
                self._shard.part_path.unlink(missing_ok=True)
                self._shard.interrupted_path.unlink(missing_ok=True)
        finally:
            self._ownership.release(finished=done)

    def append(self, number: int, row: Row, digest: bytes | None = None, mark: bytes = b"") -> None:
        """Write the row that belongs at `number` (from 0) of the shard, made in this run.

        Args:
            number: Its place.
            row: The row.
            digest: Its key, if it holds a good answer.
            mark: `line_mark` of the line it was made of; given of all rows of a shard or of none.
        """
        line = encode(row) + b"\n"
        self.append_line(number, line, digest, mark)
        if self._trail is not None and digest is not None:
            self._trail.add(line)

    def append_line(
        self, number: int, line: bytes, digest: bytes | None = None, mark: bytes = b""
    ) -> None:
        """As `append`, of a row known from earlier, encoded, its line break included."""
        starts = self._starts
        if number == len(starts):
            starts.append(self._size)
        else:
            self._remember(number, self._size)
        if digest is not None:
            self._answered.append(number)
            self._digests += digest
            self._marks += mark
        self._write(line)

    def append_lines(
        self, number: int, lines: bytes, places: "array[int]", digests: bytes, marks: bytes
    ) -> None:
        """As `append_line` of each of several rows, numbered from `number` on.

        Args:
            number: That of the first.
            lines: All their lines.
            places: Where these begin, counted from anywhere.
            digests: Their keys, 16 bytes each.
            marks: Of the lines they were made of, 8 bytes each.
        """
        ahead = self._size - places[0]
        if number == len(self._starts):
            self._starts.extend(place + ahead for place in places)
        else:
            for at, place in enumerate(places, number):
                self._remember(at, place + ahead)
        self._answered.extend(range(number, number + len(places)))
        self._digests += digests
        self._marks += marks
        self._write(lines)

    def _write(self, lines: bytes) -> None:
        self._file.write(lines)
        self._size += len(lines)
        if self._in_order:
            self._digest.update(lines)

    def flush(self) -> None:
        """Hand all rows to the system, which keeps them when this process is killed."""
        self._file.flush()

    def finish(self, rows: int, *, keep_own: bool = False, keep_others: bool = False) -> str:
        """Put the rows in order, make the shard's file of them, and give its data version.

        Until then the shard's earlier rows and their manifest stand as they are.

        Args:
            rows: How many rows there must be.
            keep_own: Earlier answers that no row has any more stay beside them, for the ledger.
            keep_others: So do those of other steps, or of the step under other settings.

        Raises:
            RowsMismatchError: A row is missing.
        """
        sync(self._file)
        if len(self._starts) != rows or _NOT_THERE in self._starts:
            missing = rows - sum(start != _NOT_THERE for start in self._starts)
            raise RowsMismatchError(f"{self._shard.path}: {missing} of {rows} rows have no answer")
        if self._trail is not None:
            self._trail.send()
        whole, places = self._whole()
        if self._origin is not None:
            known = bytes(self._digests)
            keep_before(self._shard, self._origin, known, of_own=keep_own, of_others=keep_others)
        self._put(whole)
        self._leave_keys(places)
        self._finished = True
        return self._digest.hexdigest()

    def _remember(self, number: int, place: int) -> None:
        starts = self._starts
        self._in_order = False
        if number > len(starts):
            starts.extend([_NOT_THERE] * (number - len(starts) + 1))
        if starts[number] != _NOT_THERE:
            raise RowsMismatchError(f"{self._shard.path}: row {number} was answered twice")
        starts[number] = place

    def _whole(self) -> tuple[Path, "array[int]"]:
        """The file of all rows in order, under another name, and where its rows begin."""
        path, part = self._shard.path, self._shard.part_path
        ordered, places = part, self._starts
        whole = path.with_name(path.name + _WHOLE)
        try:
            if not self._in_order:
                ordered = path.with_name(path.name + _ORDERED)
                places = self._write_ordered(ordered)
            if path.suffix == ".jsonl":
                return ordered, places
            PARQUET.convert(ordered, whole)
        except BaseException:
            whole.unlink(missing_ok=True)  # on a full disk the next run needs the room
            if ordered != part:
                ordered.unlink(missing_ok=True)
            raise
        if ordered != part:
            ordered.unlink()
        return whole, array("q", range(len(places)))

    def _write_ordered(self, path: Path) -> "array[int]":
        self._digest = blake2b(digest_size=16)
        places, size = array("q"), 0
        with path.open("wb", buffering=_BUFFER_BYTES) as file:
            for line in self._ordered_lines():
                self._digest.update(line)
                file.write(line)
                places.append(size)
                size += len(line)
            sync(file)
        return places

    def _ordered_lines(self) -> Iterator[bytes]:
        with self._shard.part_path.open("rb") as part:
            position = 0
            for start in self._starts:
                if start != position:
                    part.seek(start)
                line = part.readline()
                position = start + len(line)
                yield line

    def _put(self, whole: Path) -> None:
        """Put the rows in their place. Killed on the way, the next run finds every answer."""
        self._shard.manifest_path.unlink(missing_ok=True)
        self._shard.keys_path.unlink(missing_ok=True)
        whole.replace(self._shard.path)

    def _leave_keys(self, places: "array[int]") -> None:
        if self._origin is None:
            return
        arrived = Keys(self._answered, self._digests, self._marks)
        keys = _placed(arrived, places) if self._in_order else _in_order(arrived, places)
        write_keys(self._shard.keys_path, self._shard.path, self._origin, keys)
        self._spent = spent(self._shard, self._origin, bytes(self._digests))


def tidy(shard: Shard, *others: Path) -> None:
    """Remove what a killed run left of a shard that stands whole, `others` of its files too."""
    if not shard.owner_path.exists():
        return
    try:
        ownership = Ownership(shard.owner_path, shard.path)
    except ShardBusyError:
        return  # another run is about to write it anew
    for left in (shard.part_path, shard.interrupted_path, *others):
        left.unlink(missing_ok=True)
    ownership.release(finished=True)


def _placed(arrived: Keys, places: "array[int]") -> Keys:
    """As `_in_order`, of keys that arrived so; spares a short run the import of NumPy."""
    begins = array("q", map(places.__getitem__, arrived.places))
    all_marked = len(arrived.marks) == len(begins) * MARK_BYTES
    return Keys(begins, arrived.digests, arrived.marks if all_marked else b"")


def _in_order(arrived: Keys, places: "array[int]") -> Keys:
    """The keys in the order of rows, which they arrived in any, told by number.

    Args:
        arrived: Numbers in place of places.
        places: Number → place.
    """
    import numpy as np

    numbers = np.frombuffer(arrived.places, np.int64)
    order = np.argsort(numbers, kind="stable")
    begins = np.frombuffer(places, np.int64)[numbers[order]]
    keys = np.frombuffer(arrived.digests, "V16")[order].tobytes()
    marks = np.frombuffer(arrived.marks, f"V{MARK_BYTES}")
    all_marked = len(marks) == len(numbers)
    return Keys(array("q", begins.tobytes()), keys, marks[order].tobytes() if all_marked else b"")
