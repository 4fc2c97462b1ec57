"""Media of rows on this machine, wherever they come from."""

import itertools
import shutil
import tempfile
import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, cast

from upath import UPath

from dataflow_dagster.media.hosts import PORTS, Hosts, shown
from dataflow_dagster.media.web import Web
from dataflow_dagster.places import is_url, scheme
from dataflow_dagster.rows import RowError

_PIECE: Final = 8 << 20
_MOST_KEPT_BYTES: Final = 1 << 30
"""Of files that were hashed and may be asked for next."""


@dataclass(frozen=True, slots=True)
class MediaRules:
    """What a pipeline says of media that lie elsewhere.

    Attributes:
        allowed_hosts: Servers that ``http://`` and ``https://`` may reach.
        most_bytes: Of one file.
        timeout_s: To fetch one file.
    """

    allowed_hosts: tuple[str, ...] = ()
    most_bytes: int = 512 << 20
    timeout_s: float = 60.0


class Fetcher:
    """Gives files of this machine for URLs; may be called from several threads.

    Args:
        rules: Where from, how large, how long.
    """

    def __init__(self, rules: MediaRules) -> None:
        self._most_bytes = rules.most_bytes
        hosts = Hosts(rules.allowed_hosts)
        self._web = Web(hosts, most_bytes=rules.most_bytes, timeout_s=rules.timeout_s)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._kept: dict[str, tuple[Path, int]] = {}  # URL → copy and its bytes, the oldest first

    def local_copy(self, url: str) -> Path:
        """A file with the bytes behind `url`; the caller removes it, at the latest `close` does.

        Raises:
            RowError: ``missing_file``, ``unreadable_file``, ``file_too_large``, or as `Web.fetch`.
        """
        with self._lock:
            kept = self._kept.pop(url, None)
        return self._fetched(url) if kept is None else kept[0]

    def digest(self, where: str) -> str:
        """Hash of a medium's bytes, 32 hex digits; what was fetched for it is kept a while.

        Raises:
            RowError: It cannot be read.
        """
        path = self._fetched(where) if is_url(where) else Path(where)
        try:
            with path.open("rb") as file:
                found = _digest(file)
        except FileNotFoundError as missing:
            raise RowError("missing_file", f"{where}: there is no such file") from missing
        except (OSError, ValueError) as refused:
            raise RowError("unreadable_file", f"{where}: {refused}") from refused
        if is_url(where):
            self._keep(where, path)
        return found

    def close(self) -> None:
        """Remove what was fetched."""
        if self._folder is not None:
            self._folder.cleanup()

    def _keep(self, url: str, path: Path) -> None:
        """Have a copy for who asks for it next; the oldest go where they are too much."""
        size = path.stat().st_size
        with self._lock:
            too_many = [self._kept.pop(url)] if url in self._kept else []
            self._kept[url] = (path, size)
            while sum(each for _, each in self._kept.values()) > _MOST_KEPT_BYTES:
                too_many.append(self._kept.pop(next(iter(self._kept))))
        for old, _ in too_many:
            old.unlink(missing_ok=True)

    def _fetched(self, url: str) -> Path:
        suffix = PurePosixPath(shown(url)).suffix[:10]
        path = self._room() / f"{next(self._numbers)}{suffix if suffix.isascii() else ''}"
        try:
            with path.open("wb") as file:
                self._copy(url, file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _room(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="dataflow-media-")
            return Path(self._folder.name)

    def _copy(self, url: str, file: BinaryIO) -> None:
        if scheme(url) in PORTS:
            self._web.fetch(url, file)
            return
        try:
            self._copy_object(url, file)
        except RowError:
            raise
        except FileNotFoundError as missing:
            raise RowError("missing_file", f"{url}: there is no such file") from missing
        except Exception as refused:  # clients of stores raise anything
            said = f"{url}: {type(refused).__name__}: {refused}"
            raise RowError("unreadable_file", said) from refused

    def _copy_object(self, url: str, file: BinaryIO) -> None:
        path = UPath(url)
        with cast("BinaryIO", path.fs.open(path.path, "rb", block_size=_PIECE)) as source:
            size: int | None = getattr(source, "size", None)
            if size is not None and size > self._most_bytes:
                most = f"{self._most_bytes >> 20} MiB (media_limit_mb)"
                raise RowError("file_too_large", f"{url}: {size} bytes; allowed: {most}")
            shutil.copyfileobj(source, file, _PIECE)


def _digest(file: Any) -> str:
    found = blake2b(digest_size=16)
    while piece := file.read(_PIECE):
        found.update(piece)
    return found.hexdigest()
