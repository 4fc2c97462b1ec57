"""A SQLite file of ours: connected to for each question, or for as long as many are asked."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

_WAIT_S: Final = 60.0


class DamagedError(Exception):
    """A file that was ours is no database any more: a disk was full, or a machine lost its power.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged")
        self.path = path


class Database:
    """Several processes may use the file at once.

    Args:
        path: It is made, with its folder, at the first connection.
        tables: SQL that makes what is missing, once a connection.
    """

    def __init__(self, path: Path, tables: str) -> None:
        self.path = path
        self._tables = tables
        self._held: sqlite3.Connection | None = None

    @property
    def is_held(self) -> bool:
        """Whether one connection serves all questions now."""
        return self._held is not None

    @contextmanager
    def held(self) -> Generator[None]:
        """Within it one connection serves all questions, of this thread.

        To connect costs ten times what most questions do.
        """
        if self._held is not None:
            yield
            return
        self._held = self._connection()
        try:
            yield
        finally:
            self._held.close()
            self._held = None

    def remake(self) -> None:
        """Begin again with an empty file."""
        held = self._held is not None
        if self._held is not None:
            self._held.close()
        for ending in ("", "-journal", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        if held:
            self._held = self._connection()

    @contextmanager
    def connected(self) -> Generator[sqlite3.Connection]:
        """A connection to ask by.

        Raises:
            DamagedError: The file is no database, or not all of one.
        """
        with self._damage_told():
            if self._held is not None:
                yield self._held
                return
            with closing(self._connection()) as base:
                yield base

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """All that is written in it, or nothing; other processes wait."""
        with self.connected() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                with suppress(
                    sqlite3.DatabaseError
                ):  # of a damaged file the error is told, not this
                    base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
        try:
            with self._damage_told():
                base.executescript(self._tables)
        except BaseException:
            base.close()
            raise
        return base

    @contextmanager
    def _damage_told(self) -> Generator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:  # its subclasses tell of all else
                raise DamagedError(self.path) from error
            raise
