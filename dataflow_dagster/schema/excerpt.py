"""One line of a file drawn for a terminal, with a caret below its fault and the right form."""

import re
from collections.abc import Sequence

WIDTH = 100
"""Characters of a line that are shown around the fault."""

_SECRET = re.compile(r"(?i)(\w*(?:api_?key|token(?!s\b|izer)|secret|password)\w*['\"]?\s*:\s*)\S.*")


def drawing(line: str, number: int, column: int, right: Sequence[str]) -> list[str]:
    """The line under its number, a caret, and `right`: how to write it. Values of keys are masked.

    Args:
        line: The line as it is.
        number: Its number, from 1.
        column: Where the caret goes, from 0.
        right: The lines as they should be; empty where nobody knows.
    """
    margin = " " * len(str(number))
    start = max(0, column - WIDTH // 2) if len(line) > WIDTH else 0
    shown = _masked(line)[start : start + WIDTH]
    drawn = [f"    {number} | {shown}", f"    {margin} | {' ' * (column - start)}^"]
    if right:
        drawn += ["  write:", *(f"    {margin} | {_masked(one)[:WIDTH]}" for one in right)]
    return drawn


def _masked(line: str) -> str:
    """Tabs made visible, what looks like a secret hidden."""
    return _SECRET.sub(r"\1****", line.replace("\t", "→"))
