"""What every input format shows a reader: blocks of rows, each with the place where it begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row, RowError

BLOCK_ROWS: Final = 512
BLOCK_BYTES: Final = 1 << 20
TEXT_BLOCK_ROWS: Final = 64
TEXT_BLOCK_BYTES: Final = 1 << 17
"""Small: reading begins where a block begins and ends where one ends, so a shard reads of its
neighbours as much as one block."""
MOST_RECORD_BYTES: Final = 64 << 20
"""A record longer than this costs its row; it bounds what a broken file can make us hold."""
MOST_LEVELS: Final = 200
"""Of lists and objects within each other: the fast encoder stops at 254, Python's at about 900."""


_NAMES: Final = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}


class InputError(Exception):
    """A file or folder that cannot be read at all, and why."""

    def __init__(self, path: AnyPath | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file where reading can begin.

    Attributes:
        position: Bytes before it (of the unpacked text), or rows where a format counts in rows.
        line: Lines before it; 0 where a format has none.
    """

    position: int
    line: int


BEGINNING: Final = Mark(0, 0)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows, and the place where the first of them begins."""

    start: Mark
    rows: list[Row | RowError]


class Format(Protocol):
    """One way to keep rows in a file."""

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """Every row from `start` on, in order, in blocks of bounded size.

        A record that cannot be read is a RowError in its place and costs no other.

        Raises:
            InputError: The file as a whole cannot be read.
        """
        ...


class Cursor(Protocol):
    """Goes through one file row by row.

    Attributes:
        taken: Bytes or characters gone through so far; a block ends after so many of them.
    """

    taken: int

    @property
    def mark(self) -> Mark:
        """Where the next row begins."""
        ...

    def take(self) -> Row | None:
        """The next row; None after the last.

        Raises:
            RowError: It cannot be read. The one after it can be taken.
        """
        ...


def cut(cursor: Cursor) -> Iterator[Block]:
    """All that `cursor` has left, in blocks of some `TEXT_BLOCK_BYTES` or `TEXT_BLOCK_ROWS`."""
    more = True
    while more:
        start = cursor.mark
        rows: list[Row | RowError] = []
        more = _fill(rows, cursor)
        if rows:
            yield Block(start, rows)


def _fill(rows: list[Row | RowError], cursor: Cursor) -> bool:
    end = cursor.taken + TEXT_BLOCK_BYTES
    while len(rows) < TEXT_BLOCK_ROWS and cursor.taken < end:
        try:
            row = cursor.take()
        except RowError as error:
            row = error
        if row is None:
            return False
        rows.append(row)
    return True


def object_of(value: Any, brackets: int) -> Row:
    """The decoded value itself, if it is an object.

    Args:
        value: What was decoded.
        brackets: How many opening ones its text has: it is nested no deeper than that.

    Raises:
        ValueError: It is none, or nested more than `MOST_LEVELS` deep.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{_NAMES.get(type(value), 'a number')} where an object {{...}} is needed")
    if brackets <= MOST_LEVELS:
        return value
    level: list[Any] = [value]
    for _ in range(MOST_LEVELS):
        level = [child for parent in level for child in _nested(parent)]
        if not level:
            return value
    raise ValueError(f"nested more than {MOST_LEVELS} levels deep")


def _nested(parent: dict[str, Any] | list[Any]) -> list[Any]:
    children = parent.values() if isinstance(parent, dict) else parent
    return [child for child in children if isinstance(child, (dict, list))]
