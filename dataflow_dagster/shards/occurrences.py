"""Which ids and names an input of many files has already, so that no file is read to know it."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

from dataflow_dagster.shards.catalogue import connected, writing
from dataflow_dagster.shards.repeats import Collector, Repeat

Kind = Literal["id", "name"]

_TABLES: Final = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS indexed (
    shard INTEGER PRIMARY KEY, signature TEXT NOT NULL, rows INTEGER NOT NULL,
    generation INTEGER NOT NULL, compared TEXT, digest TEXT);
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


class Occurrences:
    """The ids and names of all shards that were read, in ``<folder>/occurrences.sqlite``.

    It holds some 90 bytes a row, can be deleted (the files are then read once more), and is
    therefore not written through to the disk.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "occurrences.sqlite"

    def indexed(self) -> set[int]:
        """The shards that were read."""
        with connected(self._path, _TABLES) as base:
            return {shard for (shard,) in base.execute("SELECT shard FROM indexed")}

    def indexed_as(self, shard: int) -> tuple[str, int] | None:
        """Signature and number of rows of one shard; None: it was not read yet."""
        with connected(self._path, _TABLES) as base:
            known = "SELECT signature, rows FROM indexed WHERE shard = ?"
            return base.execute(known, (shard,)).fetchone()

    def record(
        self, shard: int, signature: str, rows: int, collected: dict[Kind, Collector]
    ) -> None:
        """Keep what stands in a shard in place of what stood in it before."""
        with connected(self._path, _TABLES) as base, writing(base):
            for table in ("entries", "within", "across", "indexed"):
                base.execute(f"DELETE FROM {table} WHERE shard = ?", (shard,))
            for kind, collector in collected.items():
                for hashes, firsts, counts in collector.distinct():
                    given = zip(hashes, firsts, counts, strict=True)
                    entries = ((kind, hash_, shard, first, n) for hash_, first, n in given)
                    base.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", entries)
                for repeats in collector.repeats():
                    base.executemany(
                        "INSERT INTO within VALUES (?, ?, ?, ?, ?)",
                        ((kind, shard, *repeat) for repeat in repeats),
                    )
            (last,) = base.execute("SELECT COALESCE(MAX(generation), 0) FROM indexed").fetchone()
            base.execute(
                "INSERT INTO indexed VALUES (?, ?, ?, ?, NULL, NULL)",
                (shard, signature, rows, last + 1),
            )

    def compare(self, shard: int) -> str:
        """Find what earlier shards have of this one; gives a digest that changes when that does."""
        with connected(self._path, _TABLES) as base, writing(base):
            above = "SELECT COUNT(*) || '-' || MAX(generation) FROM indexed WHERE shard <= ?"
            (state,) = base.execute(above, (shard,)).fetchone()
            known = "SELECT compared, digest FROM indexed WHERE shard = ?"
            compared, digest = base.execute(known, (shard,)).fetchone()
            if compared == state:
                return digest
            base.execute("DELETE FROM across WHERE shard = ?", (shard,))
            base.execute(_COMPARE, (shard,))
            digest = blake2b(digest_size=16)
            for found in base.execute("SELECT * FROM across WHERE shard = ?", (shard,)):
                digest.update(repr(found).encode())
            told = (state, digest.hexdigest(), shard)
            base.execute("UPDATE indexed SET compared = ?, digest = ? WHERE shard = ?", told)
            return digest.hexdigest()

    def repeats(self, shard: int, kind: Kind) -> "ShardRepeats":
        """The rows of a shard whose id or name an earlier row has."""
        return ShardRepeats(self._path, shard, kind)


class ShardRepeats:
    """Looked up by row number; a part of it is in memory."""

    def __init__(self, path: Path, shard: int, kind: Kind) -> None:
        self._path = path
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
        with connected(self._path, _TABLES) as base:
            for number, *repeat in base.execute(_FIND, asked):
                yield number, Repeat(*repeat)
