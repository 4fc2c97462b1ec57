"""A SQLite file of ours: connected to for each question, or for as long as many are asked."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

_WAIT_S: Final = 60.0


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
        with self._connection() as base:
            self._held = base
            try:
                yield
            finally:
                self._held = None

    @contextmanager
    def connected(self) -> Generator[sqlite3.Connection]:
        """A connection to ask by."""
        if self._held is not None:
            yield self._held
            return
        with self._connection() as base:
            yield base

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """All that is written in it, or nothing; other processes wait."""
        with self.connected() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)) as base:
            base.executescript(self._tables)
            yield base
