"""Where an export goes: whole under its name, or not there at all."""

import fcntl
import os
import shutil
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol

from dataflow_dagster.export.request import ExportError
from dataflow_dagster.rows import encode

NOTE: Final = "_export.json"
"""Written last: a folder that holds it is a whole export. Readers of data pass over its ``_``."""


class Destination(Protocol):
    """A folder in the making."""

    def open(self, name: str) -> BinaryIO:
        """A new file at ``name``, a relative path, to be written from its beginning to its end."""
        ...

    def publish(self, note: dict[str, Any]) -> None:
        """Everything is written: leave `note` beside it and let it be seen."""
        ...

    def __enter__(self) -> "Destination": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...


def destination(place: str, *, overwrite: bool) -> Destination:
    """A local folder, or one of any store that fsspec knows, such as ``s3://bucket/cats``."""
    if "://" in place:
        return RemoteFolder(place, overwrite=overwrite)
    return LocalFolder(Path(place), overwrite=overwrite)


class LocalFolder:
    """Written beside its place as ``.<name>.part`` and renamed when it is whole.

    Raises:
        ExportError: Something stands there already, or another export writes there now.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path = path.absolute()
        self._part = self._path.with_name(f".{self._path.name}.part")
        self._overwrite = overwrite
        _check_place(
            str(path),
            taken=self._path.exists() and not _is_empty(self._path),
            whole=(self._path / NOTE).is_file(),
            overwrite=overwrite,
        )

    def __enter__(self) -> "LocalFolder":
        try:
            self._part.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._part, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as refused:
            raise ExportError(f"{self._path} cannot be written: {refused}") from refused
        try:
            self._take()
        except BaseException:
            os.close(self._lock)
            raise
        return self

    def open(self, name: str) -> BinaryIO:
        """A new file below the folder."""
        path = self._part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")

    def publish(self, note: dict[str, Any]) -> None:
        """One rename; an earlier export is out of the way just before it, and deleted after."""
        (self._part / NOTE).write_bytes(encode(note) + b"\n")
        old = self._path.with_name(f".{self._path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if self._path.exists():
            self._path.rename(old)
        self._part.rename(self._path)
        shutil.rmtree(old, ignore_errors=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            shutil.rmtree(self._part, ignore_errors=True)
        os.close(self._lock)

    def _take(self) -> None:
        """Lock the folder, which a killed export may have left behind, and empty it."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.path.samestat(os.fstat(self._lock), self._part.stat())
        except OSError:
            there = False
        if not there:
            raise ExportError(f"{self._path} is being written by another export")
        for left in self._part.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()


class RemoteFolder:
    """Objects appear one by one, whole; the export is whole when `NOTE` is there, the last one.

    Raises:
        ExportError: Something stands there already.
    """

    def __init__(self, place: str, *, overwrite: bool) -> None:
        from upath import UPath

        try:
            self._root = UPath(place)
            whole = (self._root / NOTE).is_file()
            taken = whole or (self._root.is_dir() and not _is_empty(self._root))
        except (OSError, ImportError, ValueError) as refused:
            raise ExportError(f"{place} cannot be reached: {refused}") from refused
        _check_place(place, taken=taken, whole=whole, overwrite=overwrite)
        self._replaces = taken
        self._last: BinaryIO = BytesIO()

    def __enter__(self) -> "RemoteFolder":
        if self._replaces:
            (self._root / NOTE).unlink()
            self._clear()
        return self

    def open(self, name: str) -> BinaryIO:
        """A new object below the folder."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._last = path.open("wb")
        return self._last

    def publish(self, note: dict[str, Any]) -> None:
        """The note makes it whole."""
        (self._root / NOTE).write_bytes(encode(note) + b"\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            self._last.close()  # which writes it: left open, it would come back after `_clear`
            self._clear()

    def _clear(self) -> None:
        if self._root.exists():
            self._root.fs.rm(self._root.path, recursive=True)


def _check_place(place: str, *, taken: bool, whole: bool, overwrite: bool) -> None:
    if taken and not whole:
        raise ExportError(f"{place} exists and is no export: name a new folder, or delete it")
    if taken and not overwrite:
        raise ExportError(f"{place} is an export already: name a new folder, or --overwrite it")


def _is_empty(folder: Any) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
