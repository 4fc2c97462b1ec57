"""Lines that begin in the wrong column, and the column they should begin in."""

import re

from dataflow_dagster.schema.slips import Fault, Finding

SHOWN_LINES = 8
"""Lines of the right form that are shown at most."""

_KEY = re.compile(r"(\s*(?:- +)*)[A-Za-z_]\w*\s*:(?:\s|$)")
_ENTRY = re.compile(r"\s*- ")
_KEY_SIGNS = (
    "mapping values",
    "expected <block end>, but found '<block mapping start>'",
    "expected <block end>, but found '?'",
    "expected '<document start>', but found '<block mapping start>'",
)
_ENTRY_SIGNS = (
    "expected <block end>, but found '<block sequence start>'",
    "expected <block end>, but found '-'",
)


def misplaced_key(fault: Fault) -> Finding | None:
    """A ``key:`` that stands in no column of the keys above it."""
    if not _KEY.match(fault.text) or not any(sign in fault.problem for sign in _KEY_SIGNS):
        return None
    siblings = _open_mappings(fault)
    if not siblings:
        return None
    column = min(siblings, key=lambda at: (abs(at - fault.indent), -at))
    number = siblings[column]
    return _finding(fault, column, number, fault.lines[number][column:].split(":")[0].strip())


def misplaced_entry(fault: Fault) -> Finding | None:
    """A ``- entry`` that stands in no column of the entries above it."""
    if not _ENTRY.match(fault.text) or not any(sign in fault.problem for sign in _ENTRY_SIGNS):
        return None
    above = enumerate(fault.lines[: fault.line])
    siblings = {line.index("-"): number for number, line in above if _ENTRY.match(line)}
    if not siblings:
        return None
    column = min(siblings, key=lambda at: (abs(at - fault.indent), -at))
    return _finding(fault, column, siblings[column], "-")


def _finding(fault: Fault, column: int, sibling: int, word: str) -> Finding:
    spaces = f"{fault.indent} space{'' if fault.indent == 1 else 's'}"
    message = (
        f"is indented by {spaces}, expected {column}: right below '{word}' of line {sibling + 1}"
    )
    right = (fault.lines[sibling], *_moved(fault, column - fault.indent))
    return Finding(fault.line, fault.indent, message, right)


def _moved(fault: Fault, by: int) -> list[str]:
    """The line of the fault and those that hang on it, `by` columns further right."""
    moved: list[str] = []
    for line in fault.lines[fault.line : fault.line + SHOWN_LINES]:
        indent = len(line) - len(line.lstrip())
        if not line.strip() or indent < fault.indent or (moved and line.lstrip().startswith("-")):
            break
        moved.append(" " * (indent + by) + line.lstrip())
    return moved


def _open_mappings(fault: Fault) -> dict[int, int]:
    """Column of the keys → last line that has one, of the mappings that go on above the fault."""
    columns: dict[int, int] = {}
    for number in range(fault.line - 1, -1, -1):
        found = _KEY.match(fault.lines[number])
        if found and (not columns or len(found[1]) < min(columns)):
            columns[len(found[1])] = number
    return columns
