"""Times as cron writes them: five fields, as Dagster understands them."""

import re
from typing import Final

_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_WORDS: Final = frozenset({"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly"})
_PART: Final = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9][0-9]{0,3}))?", re.ASCII)
_LONGEST: Final = {"2": 29, "4": 30, "6": 30, "9": 30, "11": 30}
"""Days of the months that have fewer than 31."""


def checked_cron(text: str) -> str:
    """`text` itself, where it is ``minute hour day month weekday`` or ``@daily`` and the like.

    Numbers, names (``mon``, ``jan``), ``*``, lists, ranges and steps are understood.

    Raises:
        ValueError: It is not, or no day is ever such a day.
    """
    if text in _WORDS:
        return text
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"a time has 5 fields (minute hour day month weekday), such as 0 2 * * *,"
            f" given were {len(fields)}"
        )
    for field, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in field.lower().split(","):
            _check(part, name, low, high, names)
    if fields[2].isdecimal() and int(fields[2]) > _LONGEST.get(fields[3], 31):
        raise ValueError(f"no month {fields[3]} has a day {fields[2]}")
    return text


def _check(part: str, name: str, low: int, high: int, names: tuple[str, ...]) -> None:
    found = _PART.fullmatch(part)
    if found is None:
        raise ValueError(f"'{part}' is no {name}; allowed: *, {low} to {high}, a-b, a,b, */n")
    ends = [_number(end, names, low) for end in found.groups()[:2] if end is not None]
    if any(end is None or not low <= end <= high for end in ends):
        raise ValueError(f"'{part}' is no {name}; allowed: {low} to {high}")
    if len(ends) == 2 and (ends[0] or 0) > (ends[1] or 0):
        raise ValueError(f"'{part}' is no {name}: the range ends before it begins")


def _number(end: str, names: tuple[str, ...], low: int) -> int | None:
    if end in names:
        return names.index(end) + low
    return int(end) if end.isdecimal() else None
