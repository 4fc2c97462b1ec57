"""Where the medium is that a row's value names."""

import os
import posixpath
from pathlib import Path
from typing import Any, Final

from dataflow_dagster.media.hosts import PORTS, Hosts
from dataflow_dagster.places import AnyPath, is_local, is_url, scheme
from dataflow_dagster.rows import RowError

STORES: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"})
"""Schemes any row may use; another one only where ``meta_folder`` has it: a row of a file from
elsewhere may not make us connect to any machine it likes."""

_MOST_PATH_BYTES: Final = 4095  # PATH_MAX of Linux, less its closing NUL
_MOST_NAME_BYTES: Final = 255  # NAME_MAX of all common file systems


def resolve_medium(value: Any, folder: AnyPath, hosts: Hosts) -> str | None:
    """The file or URL that a row's value means; None where it has no medium (null or empty).

    A relative path is taken from `folder` and stays within it by its own words; links that lie in
    the folder are the user's and are followed. An absolute path is one of this machine.

    Args:
        value: The row's.
        folder: Of this machine, or of a store.
        hosts: Those that ``http://`` and ``https://`` may name.

    Raises:
        RowError: ``bad_value``: no text, or no possible path; ``outside_meta_folder``;
            ``host_not_allowed``.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        shown = f"{value!r:.100}"
        raise RowError("bad_value", f"{shown} is a {type(value).__name__}; a path is text")
    if is_url(value):
        return _url(value, folder, hosts)
    _check(value)
    if value.startswith("/"):
        return str(Path(value))
    within = posixpath.normpath(value)
    if within == ".." or within.startswith("../"):
        message = f"'{value}' leads out of meta_folder {folder}; write an absolute path instead"
        raise RowError("outside_meta_folder", message)
    return str(folder / within) if is_local(folder) else f"{str(folder).rstrip('/')}/{within}"


def _url(value: str, folder: AnyPath, hosts: Hosts) -> str:
    kind = scheme(value)
    if kind in PORTS:
        hosts.check(value)
        return value
    if kind in ("file", "local"):
        return str(resolve_medium(value.partition("://")[2] or "/", folder, hosts))
    if kind not in STORES and kind != scheme(str(folder)):
        allowed = ", ".join(sorted(STORES | set(PORTS)))
        raise RowError("bad_value", f"{value!r:.100}: URLs of media begin with one of {allowed}")
    if "\0" in value or not value.isprintable():
        raise RowError("bad_value", f"{value!r:.100}: a URL is printable text")
    return value


def _check(value: str) -> None:
    shown = f"{value!r:.100}"
    if "\0" in value:
        raise RowError("bad_value", f"{shown} has a NUL character; no path has")
    try:
        encoded = os.fsencode(value)
    except UnicodeEncodeError as wrong:
        raise RowError("bad_value", f"{shown} is no possible path: {wrong}") from wrong
    if len(encoded) > _MOST_PATH_BYTES or max(map(len, encoded.split(b"/"))) > _MOST_NAME_BYTES:
        message = f"{shown}... is too long for a path: {len(encoded)} bytes"
        raise RowError("bad_value", message)
