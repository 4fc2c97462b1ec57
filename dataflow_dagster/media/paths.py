"""Where the medium is that a row's value names."""

import os
import re
from pathlib import Path
from typing import Any, Final

from dataflow_dagster.rows import RowError

_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_MOST_PATH_BYTES: Final = 4095  # PATH_MAX of Linux, less its closing NUL
_MOST_NAME_BYTES: Final = 255  # NAME_MAX of all common file systems


def resolve_medium(value: Any, folder: Path) -> Path | None:
    """The file that a row's value means; None where the row has no such medium (null or empty).

    A relative path is taken from `folder` and stays within it by its own words; links that lie in
    the folder are the user's and are followed. An absolute path is taken as the user wrote it.

    Raises:
        RowError: ``bad_value``: no text, or no possible path; ``outside_meta_folder``.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        shown = f"{value!r:.100}"
        raise RowError("bad_value", f"{shown} is a {type(value).__name__}; a path is text")
    _check(value)
    if Path(value).is_absolute():
        return Path(value)
    within = os.path.normpath(value)
    if within == ".." or within.startswith("../"):
        message = f"'{value}' leads out of meta_folder {folder}; write an absolute path instead"
        raise RowError("outside_meta_folder", message)
    return folder / within


def _check(value: str) -> None:
    shown = f"{value!r:.100}"
    if "\0" in value:
        raise RowError("bad_value", f"{shown} has a NUL character; no path has")
    if _URL.match(value):
        raise RowError("bad_value", f"{shown} is a URL; allowed: a path on this machine")
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError as wrong:
        raise RowError("bad_value", f"{shown} is no possible path: {wrong}") from wrong
    if len(encoded) > _MOST_PATH_BYTES or max(map(len, encoded.split(b"/"))) > _MOST_NAME_BYTES:
        message = f"{shown}... is too long for a path: {len(encoded)} bytes"
        raise RowError("bad_value", message)
