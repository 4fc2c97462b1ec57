"""Names that were given against names that are allowed."""

import difflib
from collections.abc import Iterable

SHOWN_ALLOWED = 20
"""A longer list of allowed names is cut to the nearest half of this many."""


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like `given`, capitals aside; None where none is like it."""
    names = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.6)
    return names[close[0]] if close else None


def listed(given: str, allowed: Iterable[str]) -> str:
    """The allowed names in their own order, or the nearest ten and how many more there are."""
    names = list(allowed)
    if len(names) <= SHOWN_ALLOWED:
        return ", ".join(names)
    shown = sorted(names, key=lambda name: -_likeness(given, name))[: SHOWN_ALLOWED // 2]
    return f"{', '.join(shown)} and {len(names) - len(shown)} more"


def unknown(what: str, given: str, allowed: Iterable[str], *, see: str | None = None) -> str:
    """``unknown key, did you mean 'temperature'? Allowed: ...`` for a name that is not allowed.

    Args:
        what: What it names.
        given: The name.
        allowed: Those that could stand there.
        see: A command that lists them, which takes the place of a long list of names unlike it.
    """
    names = list(allowed)
    close = nearest(given, names)
    if close is None and len(names) > SHOWN_ALLOWED:
        return f"unknown {what}. Allowed: {', '.join(names) if see is None else f'see {see}'}"
    hint = f", did you mean '{close}'?" if close else "."
    return f"unknown {what}{hint} Allowed: {listed(given, names)}"


def _likeness(given: str, name: str) -> float:
    return difflib.SequenceMatcher(None, given.lower(), name.lower()).ratio()
