"""Which plain words of a YAML text are numbers, truths or nothing: YAML 1.2, with 1.1's yes and no.

Left out of YAML 1.1, each a surprise to whoever writes it: ``16:9`` is 969, ``010`` is 8,
``2026-11-22`` is a date, ``1e-3`` is text.
"""

import re
from collections.abc import Callable
from typing import Final

import yaml

Scalar = str | int | float | bool | None

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(?:0|[1-9](?:_?[0-9])*|0x[0-9a-fA-F]+|0o[0-7]+|0b[01]+)")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))"
    r"|\.(?:nan|NaN|NAN)"
)
_TRUE = re.compile(r"true|True|TRUE|yes|Yes|YES|on|On|ON")
_FALSE = re.compile(r"false|False|FALSE|no|No|NO|off|Off|OFF")
_NULL = re.compile(r"~|null|Null|NULL|")

LONGEST_INT: Final = 100
"""Characters of a whole number."""
MERGE: Final = f"{_TAG}merge"
"""The tag of ``<<``."""


class UnreadableScalarError(ValueError):
    """A word does not mean what its tag says."""


def resolvers() -> dict[str | None, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's table of plain words that are not text: first letter (None: any) → tag, pattern."""
    rules = {"bool": f"{_TRUE.pattern}|{_FALSE.pattern}", "null": _NULL.pattern, "merge": "<<"}
    rules |= {"int": _INT.pattern, "float": _FLOAT.pattern}
    return {None: [(_TAG + tag, re.compile(rf"(?:{rule})\Z")) for tag, rule in rules.items()]}


def scalar(node: yaml.ScalarNode) -> Scalar:
    """The value of a word under its tag.

    Raises:
        UnreadableScalarError: A tag that has no meaning here, or a word that does not fit it.
    """
    read = _READERS.get(node.tag)
    if read is None:
        raise UnreadableScalarError(no_meaning(node.tag))
    try:
        return read(node.value)
    except ValueError:
        shown = node.value if len(node.value) <= 40 else f"{node.value[:40]}…"
        raise UnreadableScalarError(
            f"'{shown}' is no {_short(node.tag)} that can be read"
        ) from None


def no_meaning(tag: str) -> str:
    """The message for a tag that stands for no plain value."""
    return f"the YAML tag {_short(tag)} has no meaning here"


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _bool(text: str) -> bool:
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    raise ValueError(text)


def _null(text: str) -> None:
    if not _NULL.fullmatch(text):
        raise ValueError(text)


def _int(text: str) -> int:
    if len(text) > LONGEST_INT:  # Python refuses to write out thousands of digits
        raise ValueError(text)
    return int(text, 0)


def _float(text: str) -> float:
    special = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
    return float(special.get(text.lower(), text))


_READERS: Final[dict[str, Callable[[str], Scalar]]] = {
    f"{_TAG}str": str,
    f"{_TAG}bool": _bool,
    f"{_TAG}null": _null,
    f"{_TAG}int": _int,
    f"{_TAG}float": _float,
    MERGE: str,
}
