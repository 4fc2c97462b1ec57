"""Which ids and names an input of many files has already, so that no file is read to know it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from sqlite3 import Connection
from typing import Final, Literal

from dataflow_dagster.shards.database import DamagedError, Database
from dataflow_dagster.shards.repeats import Collector, Repeat

Kind = Literal["id", "name"]
_KINDS: Final[tuple[Kind, ...]] = ("id", "name")

_TABLES: Final = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS shards (
    shard INTEGER PRIMARY KEY, signature TEXT NOT NULL, rows INTEGER NOT NULL, digest TEXT);
CREATE TABLE IF NOT EXISTS entries (
    kind TEXT, hash INTEGER, shard INTEGER, first INTEGER, count INTEGER,
    PRIMARY KEY (kind, hash, shard)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_shard ON entries (shard);
CREATE TABLE IF NOT EXISTS within (
    kind TEXT, shard INTEGER, number INTEGER, first INTEGER, occurrence INTEGER,
    PRIMARY KEY (kind, shard, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS across (
    kind TEXT, shard INTEGER, first INTEGER, origin INTEGER, origin_first INTEGER, count INTEGER,
    PRIMARY KEY (kind, shard, first)) WITHOUT ROWID;
"""
_PARTS: Final = ("entries", "within", "across", "shards")
_COMPARE: Final = """
INSERT INTO across
SELECT own.kind, own.shard, own.first, MIN(other.shard), other.first, SUM(other.count)
FROM entries AS own JOIN entries AS other
    ON other.kind = own.kind AND other.hash = own.hash AND other.shard < own.shard
WHERE own.shard = ? GROUP BY own.kind, own.hash
"""
_FIND: Final = """
SELECT within.number, COALESCE(origin_first, within.first), occurrence + COALESCE(count, 0), origin
FROM within LEFT JOIN across USING (kind, shard, first)
WHERE kind = :kind AND shard = :shard AND within.number >= :low AND within.number < :high
UNION ALL
SELECT first, origin_first, count, origin FROM across
WHERE kind = :kind AND shard = :shard AND first >= :low AND first < :high
"""
_WINDOW: Final = 65_536
"""Rows whose repeats are in memory."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in the files of one shard.

    Attributes:
        signature: Of the files, as they were read.
        rows: How many rows there are.
        ids: Of all rows, by their numbers within the shard.
        names: Of those rows that have one.
    """

    shard: int
    signature: str
    rows: int
    ids: Collector
    names: Collector

    def entries(self, kind: Kind) -> Iterator[tuple[str, int, int, int, int]]:
        """Lines of the table ``entries``."""
        for hashes, firsts, counts in self._of(kind).distinct():
            for hash_, first, count in zip(hashes, firsts, counts, strict=True):
                yield kind, hash_, self.shard, first, count

    def within(self, kind: Kind) -> Iterator[tuple[str, int, int, int, int]]:
        """Lines of the table ``within``."""
        for repeats in self._of(kind).repeats():
            yield from ((kind, self.shard, *repeat) for repeat in repeats)

    def _of(self, kind: Kind) -> Collector:
        return self.ids if kind == "id" else self.names


class Occurrences:
    """The ids and names of all shards that were read, in ``<folder>/occurrences.sqlite``.

    It holds some 90 bytes a row, can be deleted (the files are then read once more), and is
    therefore not written through to the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._base = Database(folder / "occurrences.sqlite", _TABLES)

    def held(self) -> AbstractContextManager[None]:
        """Within it questions cost a tenth; see `Database.held`."""
        return self._base.held()

    def remake(self) -> None:
        """Begin again: the files are read once more."""
        self._base.remake()

    def unread(self, shards: range) -> list[int]:
        """Those of the shards that were not read yet, in order."""
        read = "SELECT shard FROM shards WHERE shard >= ? AND shard < ?"
        with self._base.connected() as base:
            known = {shard for (shard,) in base.execute(read, (shards.start, shards.stop))}
        return [shard for shard in shards if shard not in known]

    def read_as(self, shard: int) -> tuple[str, int] | None:
        """Signature and number of rows of one shard; None: it was not read yet."""
        with self._base.connected() as base:
            known = "SELECT signature, rows FROM shards WHERE shard = ?"
            return base.execute(known, (shard,)).fetchone()

    def record(self, found: Sequence[Found]) -> None:
        """Keep what stands in shards in place of what stood in them before, all or nothing.

        Those behind them are to be compared anew.
        """
        with self._base.writing() as base:
            for one in found:
                for table in _PARTS:
                    base.execute(f"DELETE FROM {table} WHERE shard = ?", (one.shard,))
                base.execute(
                    "INSERT INTO shards VALUES (?, ?, ?, NULL)",
                    (one.shard, one.signature, one.rows),
                )
            # In the table's order: many shards' rows come to lie on the same few pages.
            for kind in _KINDS:
                entries = sorted(entry for one in found for entry in one.entries(kind))
                base.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", entries)
                within = (repeat for one in found for repeat in one.within(kind))
                base.executemany("INSERT INTO within VALUES (?, ?, ?, ?, ?)", within)
            first = min(one.shard for one in found)
            base.execute("UPDATE shards SET digest = NULL WHERE shard > ?", (first,))
            for one in found:
                _compare(base, one.shard)

    def compare(self, shard: int) -> str:
        """Find what earlier shards have of this one; gives a digest that changes when that does."""
        known = "SELECT digest FROM shards WHERE shard = ?"
        with self._base.connected() as base:
            (digest,) = base.execute(known, (shard,)).fetchone()
        if digest is not None:
            return digest
        with self._base.writing() as base:
            return _compare(base, shard)

    def forget(self, shards: Iterable[int]) -> None:
        """Forget what stands in these shards; all others are to be compared anew."""
        try:
            self._forget(list(shards))
        except DamagedError:
            self.remake()

    def _forget(self, shards: Sequence[int]) -> None:
        with self._base.writing() as base:
            for shard in shards:
                for table in _PARTS:
                    base.execute(f"DELETE FROM {table} WHERE shard = ?", (shard,))
            base.execute("UPDATE shards SET digest = NULL")

    def repeats(self, shard: int, kind: Kind) -> "ShardRepeats":
        """The rows of a shard whose id or name an earlier row has."""
        return ShardRepeats(self._base, shard, kind)


def _compare(base: Connection, shard: int) -> str:
    digest = blake2b(digest_size=16)
    base.execute("DELETE FROM across WHERE shard = ?", (shard,))
    base.execute(_COMPARE, (shard,))
    for found in base.execute("SELECT * FROM across WHERE shard = ?", (shard,)):
        digest.update(repr(found).encode())
    told = (digest.hexdigest(), shard)
    base.execute("UPDATE shards SET digest = ? WHERE shard = ?", told)
    return digest.hexdigest()


class ShardRepeats:
    """Looked up by row number; a part of it is in memory."""

    def __init__(self, base: Database, shard: int, kind: Kind) -> None:
        self._base = base
        self._shard = shard
        self._kind = kind
        self._window = range(0)
        self._found: dict[int, Repeat] = {}

    def find(self, number: int) -> Repeat | None:
        """The earlier rows of the same value; None: there are none."""
        if number not in self._window:
            begins = number - number % _WINDOW
            self._window = range(begins, begins + _WINDOW)
            self._found = dict(self._load())
        return self._found.get(number)

    def _load(self) -> Iterator[tuple[int, Repeat]]:
        asked = {
            "kind": self._kind,
            "shard": self._shard,
            "low": self._window.start,
            "high": self._window.stop,
        }
        with self._base.connected() as base:
            for number, *repeat in base.execute(_FIND, asked):
                yield number, Repeat(*repeat)
