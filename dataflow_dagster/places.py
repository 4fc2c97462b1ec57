"""Where things lie: a path on this machine, or a URL that fsspec knows."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from upath import UPath

AnyPath = Path | UPath
"""A local path, or any URL that fsspec knows."""

_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_MARKS: Final = ("ETag", "etag", "md5Hash", "content_md5", "generation")
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "created")


def is_url(text: str) -> bool:
    """Whether it begins with a scheme, such as ``s3://``."""
    return _URL.match(text) is not None


def scheme(text: str) -> str:
    """What stands before ``://``, in small letters; empty: nothing does."""
    return text.partition("://")[0].lower() if is_url(text) else ""


def as_path(text: str) -> Path:
    """A path by which places are compared: of a store one that no file of this machine has."""
    here = place(text)
    if isinstance(here, Path):
        return here
    return Path(f"/{scheme(text)}:", text.partition("://")[2].strip("/"))


def place(text: str) -> AnyPath:
    """A plain `Path` on this machine, of ``file://`` too; a `UPath` elsewhere."""
    if scheme(text) in ("", "file", "local"):
        return Path(text.partition("://")[2] if is_url(text) else text)
    return UPath(text)


def at_home(text: str) -> str:
    """The text, of which a ``~`` that begins a path stands for the user's own folder."""
    return os.path.expanduser(text) if text == "~" or text.startswith("~/") else text  # noqa: PTH111


def is_local(path: AnyPath) -> bool:
    """Whether it lies on this machine."""
    return isinstance(path, Path)


def stamp(path: AnyPath) -> tuple[Any, ...]:
    """What changes when the file does: size and time; of a store also what it marks bytes with.

    Raises:
        OSError: There is no such file, or it cannot be asked for.
    """
    if isinstance(path, Path):
        found = path.stat()
        return found.st_size, repr(found.st_mtime)
    return marks_of(path.fs.info(path.path))


def marks_of(about: Mapping[str, Any]) -> tuple[Any, ...]:
    """What changes when an object does, of what its store says of it: size, and etag or time."""
    marks = [about[name] for name in _MARKS if about.get(name) is not None]
    times = [str(about[name]) for name in _TIMES if about.get(name) is not None]
    return (about.get("size"), *(marks or times[:1]))
