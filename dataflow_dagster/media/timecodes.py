"""Times of a clip as tables of clips write them."""

import re
from typing import Any, Final

_TIMECODE: Final = re.compile(r"(?:(\d+):(?=[0-5]?\d:))?(\d+):([0-5]?\d(?:\.\d*)?)", re.ASCII)


def seconds_of(value: Any) -> float:
    """A number of seconds, or ``MM:SS``, ``HH:MM:SS`` with or without a fraction.

    Raises:
        ValueError: Neither; or less than 0, or no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("no time of a clip")
    code = _TIMECODE.fullmatch(value.strip()) if isinstance(value, str) else None
    if code is not None:
        return int(code[1] or 0) * 3600 + int(code[2]) * 60 + float(code[3])
    try:
        seconds = float(value)
    except OverflowError as large:
        raise ValueError("no clip is as long") from large
    if not 0 <= seconds < float("inf"):
        raise ValueError("no time of a clip")
    return seconds
