"""Which files of an input make which shard: a shard keeps its files, new files make new shards."""

import re
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.lookup import stem_of
from dataflow_dagster.shards.borders import locked
from dataflow_dagster.shards.database import DamagedError, Database
from dataflow_dagster.stores.lock import held
from dataflow_dagster.stores.mirrors import mirror_of

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS shards (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS files
    (name BLOB PRIMARY KEY, shard INTEGER NOT NULL, stamp TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_by_shard ON files (shard);
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memory (id INTEGER PRIMARY KEY, value BLOB NOT NULL);
"""
_LONGEST_STEM: Final = 40


class UnknownShardError(Exception):
    """A partition key that no shard of files has."""


class _Base(Database):
    """The catalogue's file, which nothing can be made anew from."""

    @contextmanager
    def _damage_told(self) -> Generator[None]:
        try:
            with super()._damage_told():
                yield
        except DamagedError as damaged:
            raise InputError(
                self.path,
                "is damaged; it says which files are in which shard. Put back a copy of it, or"
                " delete it: all files then make new shards, and known answers are taken over",
            ) from damaged


class Catalogue:
    """The shards of one input's files, in ``<folder>/shards.sqlite``.

    Args:
        folder: Of raw_meta; it is made when files are registered.
    """

    def __init__(self, folder: Path) -> None:
        self._base = _Base(folder / "shards.sqlite", _TABLES)
        self._mirror = mirror_of(folder)

    @contextmanager
    def held(self) -> Generator[None]:
        """Within it questions cost a tenth, and a store is not asked; see `Database.held`."""
        self._is_there()
        with self._base.held():
            yield

    def keys(self) -> list[str]:
        """The keys of all shards, in the order in which they were registered."""
        if not self._is_there():
            return []
        with self._base.connected() as base:
            return [key for (key,) in base.execute("SELECT key FROM shards ORDER BY number")]

    def number(self, key: str) -> int:
        """How many shards were registered before this one.

        Raises:
            UnknownShardError: There is none of that key.
        """
        numbers: list[int] = []
        if self._is_there():
            with self._base.connected() as base:
                found = base.execute("SELECT number FROM shards WHERE key = ?", (key,))
                numbers = [number for (number,) in found]
        if not numbers:
            raise UnknownShardError(
                f"'{key}' is no shard of these files; shards are registered by the command line's"
                " 'run', by the job that ends in '_register', or by 'watch', never by hand"
            )
        return numbers[0]

    def files(self, number: int) -> list[str]:
        """The files of a shard, in order."""
        with self._base.connected() as base:
            found = base.execute("SELECT name FROM files WHERE shard = ? ORDER BY name", (number,))
            return [_text(name) for (name,) in found]

    def register(self, names: Iterable[str], files_per_shard: int, folder: str = "") -> list[str]:
        """Make shards of the files that are in none yet; gives the new shards' keys.

        Args:
            names: Files, in the order in which they are to be taken.
            files_per_shard: Files of a shard; the last may have fewer.
            folder: The one their names are relative to; see `of_another`.
        """
        with self._changing() as base:
            base.execute("INSERT OR REPLACE INTO about VALUES ('folder', ?)", (_printed(folder),))
            known = {name for (name,) in base.execute("SELECT name FROM files")}
            new = [name for name in map(_blob, names) if name not in known]
            (first,) = base.execute("SELECT COALESCE(MAX(number) + 1, 0) FROM shards").fetchone()
            keys: list[str] = []
            for number, group in enumerate(_groups(new, files_per_shard), first):
                keys.append(_key(number, _text(group[0])))
                base.execute("INSERT INTO shards VALUES (?, ?)", (number, keys[-1]))
                base.executemany(
                    "INSERT INTO files VALUES (?, ?, '')", [(name, number) for name in group]
                )
            return keys

    def of_another(self, folder: str) -> list[str]:
        """The keys of all shards where these are files of another folder; else none."""
        if not self._is_there():
            return []
        with self._base.connected() as base:
            found = [of for (of,) in base.execute("SELECT value FROM about WHERE name = 'folder'")]
        return [] if found in ([], [""], [_printed(folder)]) else self.keys()

    def shards_without(self, names: Set[str]) -> dict[str, list[str]]:
        """Key → files, of the shards none of whose files is among `names`, in order."""
        if not self._is_there():
            return {}
        every = "SELECT key, name FROM shards JOIN files ON shard = number ORDER BY number, name"
        found: dict[str, list[str]] = {}
        with self._base.connected() as base:
            for key, name in base.execute(every):
                found.setdefault(key, []).append(_text(name))
        return {key: files for key, files in found.items() if names.isdisjoint(files)}

    def drop(self, keys: Iterable[str]) -> None:
        """Forget these shards and their files."""
        with self._changing() as base:
            for key in keys:
                of = "(SELECT number FROM shards WHERE key = ?)"
                base.execute(f"DELETE FROM files WHERE shard = {of}", (key,))
                base.execute("DELETE FROM shards WHERE key = ?", (key,))

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those that are in no shard yet."""
        if not self._is_there():
            return list(names)
        with self._base.connected() as base:
            known = {name for (name,) in base.execute("SELECT name FROM files")}
        return [name for name in names if _blob(name) not in known]

    def stamps(self) -> dict[str, str]:
        """What `note` was told last of each file; empty of those it was told nothing of."""
        if not self._is_there():
            return {}
        with self._base.connected() as base:
            return {_text(n): stamp for n, stamp in base.execute("SELECT name, stamp FROM files")}

    def note(self, stamps: Mapping[str, str]) -> None:
        """Remember how files look now."""
        with self._changing() as base:
            given = [(stamp, _blob(name)) for name, stamp in stamps.items()]
            base.executemany("UPDATE files SET stamp = ? WHERE name = ?", given)

    def memory(self) -> bytes:
        """What `remember` was told last; empty where it never was."""
        if not self._is_there():
            return b""
        with self._base.connected() as base:
            return next((value for (value,) in base.execute("SELECT value FROM memory")), b"")

    def remember(self, memory: bytes) -> None:
        """Keep what a look at the files leaves to the next."""
        with self._changing() as base:
            base.execute("INSERT OR REPLACE INTO memory VALUES (0, ?)", (memory,))

    def keys_of(self, names: Iterable[str]) -> list[str]:
        """The keys of the shards that these files are in, in order."""
        numbers: set[int] = set()
        with self._base.connected() as base:
            for name in names:
                found = base.execute("SELECT shard FROM files WHERE name = ?", (_blob(name),))
                numbers.update(number for (number,) in found)
            keys = dict(base.execute("SELECT number, key FROM shards"))
        return [keys[number] for number in sorted(numbers)]

    def _is_there(self) -> bool:
        """Whether anything was registered; of a store, what was is here then."""
        path = self._base.path
        if self._mirror is not None and not self._base.is_held:
            with locked(path.with_suffix(".lock")):
                self._mirror.bring(path)
        return path.exists()

    @contextmanager
    def _changing(self) -> Generator[sqlite3.Connection]:
        """All is changed or nothing; of a store, by one machine at a time, and it gets it."""
        path = self._base.path
        if self._mirror is None:
            with self._base.writing() as base:
                yield base
            return
        with locked(path.with_suffix(".lock")), held(self._mirror, path.with_suffix(".owner")):
            self._mirror.bring(path)
            with self._base.writing() as base:
                yield base
            self._mirror.put(path)


def _groups(names: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for at in range(0, len(names), size):
        yield names[at : at + size]


def _key(number: int, name: str) -> str:
    """``00003-part-0003``: fit for a file's name and for a range of partitions."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", stem_of(name)).strip("-")
    return f"{number:05d}-{stem[:_LONGEST_STEM].rstrip('-') or 'files'}"


def _printed(folder: str) -> str:
    """What SQLite takes as text."""
    return folder.encode("utf-8", "backslashreplace").decode()


def _blob(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
