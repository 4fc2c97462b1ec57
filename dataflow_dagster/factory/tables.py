"""Markdown tables for the UI, which no value can break."""

from collections.abc import Sequence
from typing import Any

LONGEST_CELL = 120


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A markdown table; long values are cut, and what markdown would read is escaped."""
    lines = [line([cell(head) for head in heads]), line(["---"] * len(heads))]
    return "\n".join(lines + [line([cell(value) for value in row]) for row in rows])


def line(cells: Sequence[str]) -> str:
    """One line of cells that are markdown already."""
    return f"| {' | '.join(cells)} |"


def cell(value: Any) -> str:
    """A value as one table cell, as it is read and not as markdown."""
    text = "" if value is None else str(value)
    text = text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"
    return escaped(text).replace("\n", " ").replace("\r", " ")


def escaped(text: str) -> str:
    """Text that markdown shows as it stands."""
    return "".join(f"\\{sign}" if sign in _MARKS else sign for sign in text)


_MARKS = frozenset("\\|`*_[]<>~&")
