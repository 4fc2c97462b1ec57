"""What PyYAML stumbles over, said in the words of whoever wrote the file, with the right form."""

import re
from collections.abc import Callable
from typing import Final

import yaml

from dataflow_dagster.schema.errors import Problem
from dataflow_dagster.schema.excerpt import drawing
from dataflow_dagster.schema.flow import mended_flow
from dataflow_dagster.schema.foreign import (
    FULL_COLON,
    FULL_COMMA,
    foreign_sign,
    without_foreign,
)
from dataflow_dagster.schema.indentation import misplaced_entry, misplaced_key
from dataflow_dagster.schema.slips import Fault, Finding

_DASH = re.compile(r"(\s*)-([A-Za-z_]\w*\s*:(?:\s.*|$))")
_NO_SPACE = re.compile(r"(\s*(?:- +)?[A-Za-z_]\w*:)([^\s:/\\].*)")
_PLAIN = str.maketrans({FULL_COLON: ": ", FULL_COMMA: ", "})
_PAIR = re.compile(r"(\s*(?:- +)*[A-Za-z_]\w*\s*:\s+)(\S.*)")


def syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    """The fault's line and column, what is wrong, the line with a caret, and the right form."""
    lines = lines_of(text)
    if isinstance(error, yaml.reader.ReaderError):
        return _unreadable_character(error, text)
    if not isinstance(error, yaml.MarkedYAMLError) or (fault := _fault(error, lines)) is None:
        return Problem(None, None, "", f"is not YAML: {error}")
    found = next(
        (finding for rule in _RULES if (finding := rule(fault)) is not None),
        Finding(fault.line, fault.column, f"is not YAML: {fault.problem}"),
    )
    return told(found, lines)


def told(found: Finding, lines: list[str]) -> Problem:
    """A finding as a problem, its line drawn."""
    drawn = drawing(lines[found.line], found.line + 1, found.column, found.right)
    message = "\n".join([found.message, *drawn])
    return Problem(found.line + 1, found.column + 1, "", message)


def lines_of(text: str) -> list[str]:
    """The lines of a text, as PyYAML counts them."""
    return re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text)


def _fault(error: yaml.MarkedYAMLError, lines: list[str]) -> Fault | None:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return None
    line = min(mark.line, len(lines) - 1)
    start = error.context_mark.line if error.context_mark else line
    context = error.context or ""
    return Fault(lines, line, mark.column, min(start, line), error.problem or context, context)


def _unreadable_character(error: yaml.reader.ReaderError, text: str) -> Problem:
    before = text[: error.position]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    message = f"has a character that YAML does not allow (U+{error.character:04X})"
    return Problem(line, column, "", message)


def _merge_conflict(fault: Fault) -> Finding | None:
    for number in range(fault.line + 1):
        if fault.lines[number].startswith(("<<<<<<<", "=======", ">>>>>>>")):
            return Finding(number, 0, "is a mark that a merge conflict of git left behind")
    return None


def _tab(fault: Fault) -> Finding | None:
    indent = fault.text[: len(fault.text) - len(fault.text.lstrip())]
    if "\t" not in indent and "'\\t'" not in fault.problem:
        return None
    column = fault.text.index("\t") if "\t" in fault.text else fault.column
    return Finding(fault.line, column, "is a tab (→); YAML takes spaces only, put spaces here")


def _dash_without_space(fault: Fault) -> Finding | None:
    for number in range(fault.line, max(fault.line - 3, -1), -1):
        if found := _DASH.fullmatch(fault.lines[number]):
            right = f"{found[1]}- {found[2]}"
            message = "a space is missing after the dash"
            return Finding(number, len(found[1]), message, (right,))
    return None


def _colon_without_space(fault: Fault) -> Finding | None:
    for number in (fault.start, fault.line, fault.above()):
        if number is not None and (found := _NO_SPACE.fullmatch(fault.lines[number])):
            right = f"{found[1]} {found[2]}"
            message = "a space is missing after the colon"
            return Finding(number, len(found[1]) - 1, message, (right,))
    return None


def _colon_in_text(fault: Fault) -> Finding | None:
    found = _PAIR.fullmatch(fault.text)
    if "mapping values" not in fault.problem or not found or fault.column < len(found[1]):
        return None
    message = "a text with ': ' in it wants quotes"
    return Finding(fault.line, fault.column, message, (found[1] + _quoted(found[2]),))


def _list_on_the_line_of_its_key(fault: Fault) -> Finding | None:
    if "sequence entries" not in fault.problem:
        return None
    message = "a list begins on a line of its own, below its key"
    return Finding(fault.line, fault.column, message)


def _misfit(fault: Fault) -> Finding | None:
    signs = "expected <block end>", "expected the node content", "mapping values", "mapping keys"
    if not any(sign in fault.problem for sign in signs):
        return None
    message = "does not fit what stands above; look at the indentation, the quotes and brackets"
    return Finding(fault.line, fault.column, message)


def _open_quote(fault: Fault) -> Finding | None:
    if "quoted scalar" not in fault.context or "unexpected end" not in fault.problem:
        return None
    text = fault.lines[fault.start]
    column = max(text.rfind('"'), text.rfind("'"), 0)
    return Finding(fault.start, column, "the quote that begins in this line is not closed")


def _backslash(fault: Fault) -> Finding | None:
    if "escape" not in fault.problem:
        return None
    message = "in double quotes a backslash has a meaning of its own; use single quotes"
    return Finding(fault.line, fault.column, message)


def _open_bracket(fault: Fault) -> Finding | None:
    if "flow" not in fault.context:
        return None
    text = fault.lines[fault.start]
    said = without_foreign(text)
    if said is not None:
        return Finding(fault.start, 0, said, (text.translate(_PLAIN),))
    mended = mended_flow(fault)
    if mended is not None:
        return mended
    message = "a bracket is not closed, or a comma is missing; a text with brackets wants quotes"
    return Finding(fault.start, 0, message, _line_in_quotes(fault, fault.start))


def _second_document(fault: Fault) -> Finding | None:
    if "another document" not in fault.problem:
        return None
    return Finding(fault.line, 0, "begins a second document; a pipeline has a file of its own")


def _unknown_alias(fault: Fault) -> Finding | None:
    if "undefined alias" not in fault.problem:
        return None
    message = "*name repeats a value marked &name above, which there is not; a text wants quotes"
    return Finding(fault.line, fault.column, message, _line_in_quotes(fault, fault.line))


def _text_without_quotes(fault: Fault) -> Finding | None:
    signs = "cannot start any token", "found '<scalar>'", "expected alphabetic"
    right = _line_in_quotes(fault, fault.line)
    if not right or not any(sign in fault.problem for sign in signs):
        return None
    return Finding(fault.line, fault.column, "this text wants quotes around all of it", right)


def _no_colon(fault: Fault) -> Finding | None:
    if "could not find expected ':'" not in fault.problem:
        return None
    return Finding(fault.start, 0, "is neither 'key: value' nor '- entry'")


def _line_in_quotes(fault: Fault, line: int) -> tuple[str, ...]:
    found = _PAIR.fullmatch(fault.lines[line])
    return (found[1] + _quoted(found[2]),) if found else ()


def _quoted(text: str) -> str:
    """In double quotes, or in single ones where the text has double ones or backslashes."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return f'"{text}"' if not re.search(r'["\\]', text) else "'{}'".format(text.replace("'", "''"))


_RULES: Final[tuple[Callable[[Fault], Finding | None], ...]] = (
    _merge_conflict,
    foreign_sign,
    _tab,
    _second_document,
    _open_quote,
    _backslash,
    _dash_without_space,
    _colon_in_text,
    _colon_without_space,
    misplaced_key,
    misplaced_entry,
    _list_on_the_line_of_its_key,
    _unknown_alias,
    _open_bracket,
    _text_without_quotes,
    _no_colon,
    _misfit,
)
