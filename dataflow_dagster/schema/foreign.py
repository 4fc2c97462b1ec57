"""Signs that look like YAML's own and are not: what word processors and input methods leave."""

import re
from collections.abc import Iterator
from typing import Final

from dataflow_dagster.schema.slips import Fault, Finding

_SPACES: Final = " \u00a0\u2002\u2003\u2007\u2009\u200b\u202f\u3000\ufeff"
_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"
FULL_COLON: Final = "\uff1a"
FULL_COMMA: Final = "\uff0c"

_LINE: Final = re.compile(
    rf"(?P<indent>[{_SPACES}]*)(?:(?P<dash>[-{_DASHES}])(?P<gap>[{_SPACES}]*))?"
    rf"(?P<key>[A-Za-z_][A-Za-z0-9_]*)(?P<before>[{_SPACES}]*)(?P<colon>[:{FULL_COLON}])"
    rf"(?P<after>[{_SPACES}]*)(?P<rest>.*)"
)
_BLOCK: Final = re.compile(r"( *)[^#]*:\s+[|>][-+0-9]*\s*(?:#.*)?")
_ABOVE: Final = 3
"""Lines above the one PyYAML stumbles over in which its reason may stand."""


def foreign_sign(fault: Fault) -> Finding | None:
    """The last such sign at or shortly before the faulty line."""
    near = [f for f in foreign_signs(fault.lines) if fault.line - _ABOVE <= f.line <= fault.line]
    return near[-1] if near else None


def foreign_signs(lines: list[str]) -> Iterator[Finding]:
    """Every line ``key:`` or ``- key:`` whose spaces, dash or colon are foreign, texts left out."""
    block: int | None = None  # columns that a text begun by | or > is indented by more than
    for number, line in enumerate(lines):
        if block is not None and (not line.strip() or _plain_indent(line) > block):
            continue
        begun = _BLOCK.fullmatch(line)
        block = None if begun is None else len(begun[1])
        found = _LINE.fullmatch(line)
        if found is not None and (finding := _finding(number, found)) is not None:
            yield finding


def without_foreign(text: str) -> str | None:
    """What is to be said of a value or key that a full-width sign made; None: it has none."""
    if FULL_COLON in text:
        return f"the colon is a full-width one ({FULL_COLON}); write ': '"
    if FULL_COMMA in text:
        return f"the comma is a full-width one ({FULL_COMMA}); write ', '"
    return None


def _plain_indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _finding(number: int, found: re.Match[str]) -> Finding | None:
    message, column = _fault_of(found)
    if message is None:
        return None
    indent = " " * len(found["indent"])
    dash = "" if found["dash"] is None else "- "
    rest = f" {found['rest']}" if found["rest"] else ""
    return Finding(number, column, message, (f"{indent}{dash}{found['key']}:{rest}",))


def _fault_of(found: re.Match[str]) -> tuple[str | None, int]:
    dash, colon = found["dash"] or "-", found["colon"]
    for group in ("indent", "gap", "before", "after"):
        foreign = (found[group] or "").strip(" ")
        if foreign and not (group == "after" and found[group].startswith(" ")):
            message = (
                f"has a space that is none to YAML (U+{ord(foreign[0]):04X}); put plain spaces"
            )
            return message, found.start(group) + found[group].index(foreign[0])
    if dash != "-":
        message = f"the dash is not a plain one ({dash}, U+{ord(dash):04X}); write '- '"
        return message, found.start("dash")
    return without_foreign(colon), found.start("colon")
