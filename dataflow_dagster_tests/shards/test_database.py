import sqlite3
from pathlib import Path

import pytest

from dataflow_dagster.shards.database import Database

TABLES = "CREATE TABLE IF NOT EXISTS numbers (n INTEGER);"


def numbers(base: Database) -> list[int]:
    with base.connected() as connection:
        return [n for (n,) in connection.execute("SELECT n FROM numbers ORDER BY n")]


def add(base: Database, *given: int) -> None:
    with base.writing() as connection:
        connection.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in given])


def _add_and_fail(base: Database) -> None:
    with base.writing() as connection:
        connection.execute("INSERT INTO numbers VALUES (1)")
        connection.execute("INSERT INTO none VALUES (1)")


def test_what_is_written_while_held_is_seen_by_others_at_once(tmp_path: Path) -> None:
    base, other = (Database(tmp_path / "new" / "a.sqlite", TABLES) for _ in range(2))
    with base.held(), base.held():
        add(base, 1, 2)
        add(other, 3)
        assert numbers(other) == numbers(base) == [1, 2, 3]
    assert numbers(base) == [1, 2, 3]


def test_a_writing_that_fails_leaves_nothing_and_the_connection_serves_on(tmp_path: Path) -> None:
    base = Database(tmp_path / "a.sqlite", TABLES)
    with base.held():
        with pytest.raises(sqlite3.OperationalError):
            _add_and_fail(base)
        add(base, 2)
        assert numbers(base) == [2]
