"""A folder of an object store: its objects by name, and its client's errors as one that is told."""

import inspect
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from dataflow_dagster.places import marks_of

AT_ONCE: Final = 16
"""Objects read or written side by side."""

_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated")
_NO_BUCKET: Final = "bucket does not exist"
"""As S3 words what fsspec gives as a missing file; a file that is missing is no fault."""


class StoreError(OSError):
    """A store cannot be reached, or refuses; names what in it."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object of the store.

    Attributes:
        size: Bytes.
        stamp: Changes when the object does.
        changed: When it was written, in seconds since 1970; 0.0: the store does not tell.
    """

    size: int
    stamp: str
    changed: float


class Store:
    """Objects below one URL; their names are relative to it.

    Every method raises `StoreError`, which names the object, for whatever the client raises.

    Args:
        url: The folder, without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        with self._told(""):  # a listing that fsspec remembers hides what other machines write
            return url_to_fs(self.url, use_listings_cache=False)

    @property
    def _fs(self) -> Any:
        return self._opened[0]

    def address(self, name: str) -> str:
        """An object's URL."""
        return f"{self.url}/{name}" if name else self.url

    def objects(self, folder: str, begins: str = "") -> dict[str, Found]:
        """The objects of a folder, by their names in it; not those of folders in it."""
        entries = self._entries(folder, begins)
        named = ((_last(entry), entry) for entry in entries if entry["type"] != "directory")
        return {name: _found(entry) for name, entry in named if name.startswith(begins)}

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder."""
        return [_last(entry) for entry in self._entries(folder) if entry["type"] == "directory"]

    def walk(self, folder: str) -> dict[str, Found]:
        """All objects below a folder, by their paths in it."""
        with self._told(folder):
            found: dict[str, dict[str, Any]] = self._fs.find(self._path(folder), detail=True)
        length = len(self._path(folder)) + 1
        return {path[length:]: _found(about) for path, about in found.items()}

    def write(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Make an object of bytes.

        Raises:
            FileExistsError: It is to be `new`, and is there.
        """
        with self._told(name):
            self._fs.pipe_file(self._path(name), content, mode="create" if new else "overwrite")

    def send(self, path: Path, name: str) -> None:
        """Make an object of a file."""
        with self._told(name):
            self._fs.put_file(str(path), self._path(name))

    def read(self, name: str) -> bytes | None:
        """An object's bytes; None: there is none."""
        try:
            with self._told(name):
                return self._fs.cat_file(self._path(name))
        except FileNotFoundError:
            return None

    def read_all(self, names: Sequence[str]) -> list[bytes]:
        """Several objects' bytes, read side by side; of one that is gone, none."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="read") as pool:
            return [content or b"" for content in pool.map(self.read, names)]

    def heads(self, names: Sequence[str], size: int) -> list[bytes]:
        """The first bytes of each object; of one that cannot be read, none."""
        paths = list(map(self._path, names))
        with self._told(""):
            found = self._fs.cat_ranges(paths, [0] * len(paths), [size] * len(paths))
        return [head if isinstance(head, bytes) else b"" for head in found]

    def fetch(self, name: str, path: Path) -> None:
        """Make a file of an object.

        Raises:
            FileNotFoundError: There is none.
        """
        with self._told(name):
            self._fs.get_file(self._path(name), str(path))

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; there may be none."""
        if not names:
            return
        with suppress(FileNotFoundError), self._told(names[0]):
            if len(names) == 1:
                self._fs.rm_file(self._path(names[0]))
            else:
                self._fs.rm(list(map(self._path, names)))

    def copy(self, name: str, to: "Store", as_name: str) -> None:
        """Make an object of ours one of `to`; within one store its bytes do not come here.

        Raises:
            FileNotFoundError: There is none.
        """
        source, target = self._opened, to._opened  # noqa: SLF001  # of the same class
        if source[0] is target[0]:
            with self._told(name):
                source[0].cp_file(f"{source[1]}/{name}", f"{target[1]}/{as_name}")
            return
        content = self.read(name)
        if content is None:
            raise FileNotFoundError(self.address(name))
        to.write(as_name, content)

    def _path(self, name: str) -> str:
        return f"{self._opened[1]}/{name}" if name else self._opened[1]

    def _entries(self, folder: str, begins: str = "") -> list[dict[str, Any]]:
        path = self._path(folder)
        try:
            with self._told(folder):
                if begins and self._lists_by_prefix:
                    return list(self._fs.find(path, prefix=begins, detail=True).values())
                return self._fs.ls(path, detail=True, refresh=True)
        except FileNotFoundError:
            return []

    @cached_property
    def _lists_by_prefix(self) -> bool:
        find = getattr(self._fs, "_find", self._fs.find)
        return "prefix" in inspect.signature(find).parameters

    @contextmanager
    def _told(self, name: str) -> Generator[None]:
        try:
            yield
        except (FileExistsError, StoreError):
            raise
        except Exception as refused:  # clients of stores raise anything
            if isinstance(refused, FileNotFoundError) and _NO_BUCKET not in str(refused):
                raise
            said = f"{self.address(name)}: {type(refused).__name__}: {refused}"
            raise StoreError(said) from refused


def _last(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _found(about: Mapping[str, Any]) -> Found:
    times = (about.get(name) for name in _TIMES)
    when: Any = next((time for time in times if time is not None), None)
    changed = when.timestamp() if hasattr(when, "timestamp") else 0.0
    return Found(int(about.get("size") or 0), " ".join(map(str, marks_of(about))), changed)
