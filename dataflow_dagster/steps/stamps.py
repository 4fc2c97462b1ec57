"""What tells a row's medium from others in its key, asked for many at once."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from dataflow_dagster.media.fetching import Fetcher
from dataflow_dagster.media.hosts import PORTS
from dataflow_dagster.places import is_url, place, scheme, stamp
from dataflow_dagster.rows import RowError

_AT_ONCE: Final = 32
_BYTES: Final = "\0bytes"
"""In a key in place of the path of a medium told by its bytes; no path has it."""


class Stamps:
    """Path, size and time of a file; of an object in a store its mark (etag) and size.

    Of a web server's file the URL alone counts: asking for each row's header would cost as much as
    fetching it, also where nothing is to be done. With ``hash_media`` the bytes alone count,
    wherever they lie.

    Args:
        fetcher: Gets bytes from elsewhere.
        hash_media: The bytes count.
    """

    def __init__(self, fetcher: Fetcher, *, hash_media: bool) -> None:
        self._fetcher = fetcher
        self._hash = hash_media
        self._pool: ThreadPoolExecutor | None = None
        self._known: dict[str, str] = {}

    def look(self, media: Iterable[str | None]) -> None:
        """Ask for those that take long, side by side; what was asked for before is forgotten."""
        slow = {medium for medium in media if medium is not None and self._takes_long(medium)}
        if slow and self._pool is None:
            self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="stamp")
        found = self._pool.map(self._asked, slow) if slow and self._pool else ()
        self._known = dict(zip(slow, found, strict=True))

    def of(self, medium: str) -> tuple[str, str]:
        """What stands in a key for a medium; of one that cannot be read, its name alone."""
        if not self._takes_long(medium):
            return medium, "" if is_url(medium) else _file_stamp(medium)
        known = self._known.get(medium)
        found = self._asked(medium) if known is None else known
        return (_BYTES if self._hash and found else medium), found

    def close(self) -> None:
        """Ask no more."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _takes_long(self, medium: str) -> bool:
        return self._hash or ("://" in medium and scheme(medium) not in {"", *PORTS})

    def _asked(self, medium: str) -> str:
        try:
            if self._hash:
                return self._fetcher.digest(medium)
            return " ".join(map(str, stamp(place(medium))))
        except RowError:
            return ""
        except Exception:  # noqa: BLE001  # clients of stores raise anything; the decoder tells
            return ""


def _file_stamp(path: str) -> str:
    """A file's size and time of change; empty where it cannot be read, which a model tells."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # a third of Path.stat's cost, once per row
    except (OSError, ValueError):
        return ""
    return f" {stat.st_size} {stat.st_mtime_ns}"
