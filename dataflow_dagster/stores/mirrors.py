"""Paths whose files may lie in a store: what the rooms above ask, of plain paths too.

A folder given as ``s3://bucket/x`` is worked on at ``<cache>/mirrors/<name>``. Of a path that is
not below such a folder every function here tells what the disk has, and does nothing else.
"""

import os
import re
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from dataflow_dagster.places import place, scheme
from dataflow_dagster.stores.mirror import Mirror

CACHE: Final = "DATAFLOW_CACHE"
"""Environment variable: where copies of what lies in stores are kept on this machine."""

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
_MIRRORS: dict[str, Mirror] = {}
"""By the path of the copy, with a slash at its end."""


def local(folder: str) -> Path:
    """The path on this machine that a folder's files are worked on at."""
    here = place(folder) if scheme(folder) in ("", "file", "local") else None
    if isinstance(here, Path):
        return here
    url = folder.rstrip("/")
    root = _cache() / "mirrors" / _name(url)
    _MIRRORS.setdefault(f"{root}{os.sep}", Mirror(url, root))
    return root


def mirror_of(path: Path) -> Mirror | None:
    """The mirror a path lies in; None: it is a plain path."""
    if not _MIRRORS:
        return None
    text = f"{path}{os.sep}"
    return next((mirror for root, mirror in _MIRRORS.items() if text.startswith(root)), None)


def mirrored(url: str) -> Path | None:
    """The path of this machine that stands for a URL of a mirrored folder; None: for no such."""
    for known in {mirror.url for mirror in _MIRRORS.values()}:
        if url.startswith(f"{known}/"):
            return local(known) / url.removeprefix(f"{known}/")
    return None


def address(path: Path) -> str:
    """What a person knows a path by: its URL, or the path itself."""
    mirror = mirror_of(path)
    return str(path) if mirror is None else mirror.address(path)


def forget() -> None:
    """Ask stores anew, whatever they told before."""
    for mirror in _MIRRORS.values():
        mirror.forget()


def check(folder: Path) -> None:
    """Hold that a folder can be written, if it is of a store.

    Raises:
        StoreError: It cannot, and why.
    """
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.check()


def look(folder: Path) -> None:
    """Ask for all files of a folder of a store at once, before each of them is asked for."""
    mirror = mirror_of(folder)
    if mirror is not None:
        mirror.folder(folder)


def bring(path: Path, *, ours: bool = False) -> None:
    """See to it that what the store has at `path` is here; see `Mirror.bring`."""
    mirror = mirror_of(path)
    if mirror is not None:
        mirror.bring(path, ours=ours)


@contextmanager
def lent(path: Path) -> Generator[Path]:
    """A file that is here while it is looked at; of one that a store lacks, a path of no file."""
    mirror = mirror_of(path)
    if mirror is None:
        yield path
        return
    content = mirror.read(path)
    with tempfile.TemporaryDirectory(prefix="dataflow-") as folder:
        copy = Path(folder, path.name)
        if content is not None:
            copy.write_bytes(content)
        yield copy


def exists(path: Path) -> bool:
    """Whether there is such a file, here or in its store."""
    return size(path) is not None


def size(path: Path) -> int | None:
    """Bytes of a file, here or in its store; None: there is none."""
    mirror = mirror_of(path)
    if mirror is not None:
        found = mirror.find(path)
        return None if found is None else found.size
    try:
        return path.stat().st_size
    except OSError:
        return None


def put(*paths: Path) -> None:
    """Send files that were written here to their store, the last of them last."""
    mirror = mirror_of(paths[0])
    if mirror is not None:
        mirror.put(*paths)


def remove(*paths: Path) -> None:
    """Remove files, here and in their store; there may be none."""
    mirror = mirror_of(paths[0]) if paths else None
    if mirror is not None:
        mirror.delete(paths)
        return
    for path in paths:
        with suppress(FileNotFoundError):
            path.unlink()


def names(folder: Path) -> set[str]:
    """Names of the files of a folder, here and in its store."""
    found: set[str] = set()
    with suppress(OSError):  # there is none
        found.update(os.listdir(folder))  # noqa: PTH208  # a third of iterdir's cost
    mirror = mirror_of(folder)
    return found if mirror is None else found.union(mirror.folder(folder))


def folders(folder: Path) -> list[Path]:
    """Folders in a folder, here and in its store."""
    found: set[Path] = set()
    with suppress(OSError):  # there is none
        found.update(path for path in folder.iterdir() if path.is_dir())
    mirror = mirror_of(folder)
    return sorted(found if mirror is None else found.union(mirror.folders(folder)))


def walk(folder: Path) -> list[Path]:
    """All files below a folder, links among them; of a store, its objects."""
    mirror = mirror_of(folder)
    if mirror is not None:
        return sorted(mirror.walk(folder))
    return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _cache() -> Path:
    given = os.environ.get(CACHE)
    if given:
        return Path(given).absolute()
    try:
        return Path.home() / ".cache" / "dataflow_dagster"
    except RuntimeError:  # a user without a home, as containers have
        return Path(tempfile.gettempdir()) / "dataflow_dagster"


def _name(url: str) -> str:
    """Readable, and different for one URL at two endpoints."""
    told = [url, *(os.environ.get(name, "") for name in _ENDPOINTS)]
    digest = blake2b("\0".join(told).encode(), digest_size=8).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', url.partition('://')[2])[-40:].strip('-')}-{digest}"
