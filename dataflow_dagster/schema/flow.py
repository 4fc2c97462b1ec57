"""A mapping in braces that is not closed, or that holds a text which wants quotes."""

import re
from typing import Final

from dataflow_dagster.schema.slips import Fault, Finding

_BRACES: Final = re.compile(r"(\s*(?:- +)*[A-Za-z_]\w*:\s+)\{([^{}\[\]'\"#]*)(\}?)\s*")
_PAIR: Final = re.compile(r"\s*([A-Za-z_]\w*):\s+(\S.*?)\s*")


def mended_flow(fault: Fault) -> Finding | None:
    """What is wrong with ``key: {a: 1, b: 2`` in one line; None: it is no such line."""
    found = _BRACES.fullmatch(fault.lines[fault.start])
    pairs = [] if found is None else [_PAIR.fullmatch(part) for part in found[2].split(",")]
    whole = [pair for pair in pairs if pair is not None]
    if found is None or not whole or len(whole) < len(pairs):
        return None
    if not found[3] and _goes_on(fault):
        message = "the brace { that is opened in this line is not closed"
        return Finding(fault.start, len(found[1]), message)
    inner = ", ".join(f"{pair[1]}: {_quoted(pair[2])}" for pair in whole)
    message = "a text with ': ' in it wants quotes"
    if not found[3]:
        message = "the brace { that is opened in this line is not closed"
    return Finding(fault.start, len(found[1]), message, (f"{found[1]}{{{inner}}}",))


def _goes_on(fault: Fault) -> bool:
    """Whether the line below is indented further, so that it belongs to the braces."""
    below = fault.lines[fault.start + 1 : fault.start + 2]
    return bool(below) and _indent(below[0]) > _indent(fault.lines[fault.start])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _quoted(value: str) -> str:
    return f'"{value}"' if ": " in value else value
