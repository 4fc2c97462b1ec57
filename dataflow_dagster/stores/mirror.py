"""A folder of an object store and what of it lies on this machine: brought when it is asked for."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final
from uuid import uuid4

from dataflow_dagster.stores.flocks import is_flocked
from dataflow_dagster.stores.store import AT_ONCE, Found, Store

LOOK_S: Final = 30.0
"""What a listing told is believed so long within one materialization, which forgets it all."""


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    found: dict[str, Found]

    @property
    def holds(self) -> bool:
        return time.monotonic() - self.at < LOOK_S


class Mirror:
    """One folder of a store. After `bring` a file here is what the store has.

    Files are written here first and sent by `put`; the store is right wherever the two differ, but
    while a process of this machine holds the shard that a file belongs to.

    Args:
        url: The folder, without a slash at its end.
        root: Its copy on this machine.

    Attributes:
        store: The folder's objects.
    """

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self.root = root
        self.store = Store(url)
        self._stems: dict[Path, _Look] = {}
        self._folders: dict[Path, _Look] = {}

    @cached_property
    def id(self) -> str:
        """Tells this copy from those of other machines."""
        path = self.root / ".id"
        self.root.mkdir(parents=True, exist_ok=True)
        own = self.root / f".id.{uuid4().hex}"
        own.write_text(own.suffix)
        with suppress(FileExistsError):  # whole, and the first one's
            path.hardlink_to(own)
        own.unlink()
        return path.read_text()

    def address(self, path: Path) -> str:
        """The URL of a path of this machine."""
        return self.store.address(self._name(path))

    def forget(self) -> None:
        """Believe no earlier listing."""
        self._stems.clear()
        self._folders.clear()

    def check(self) -> None:
        """Write and remove an object, so that a run that cannot write fails before it begins.

        Raises:
            StoreError: There is no such bucket, or no permission, or no server.
        """
        name = f".dataflow_{uuid4().hex}"
        self.store.write(name, b"")
        self.store.delete([name])

    def find(self, path: Path) -> Found | None:
        """The object of a path; None: there is none."""
        return self.beside(path).get(path.name)

    def beside(self, path: Path) -> Mapping[str, Found]:
        """All objects of the path's folder whose names begin as its own does, up to the dot."""
        stem = _stem(path)
        for known in (self._stems.get(stem), self._folders.get(path.parent)):
            if known is not None and known.holds:
                return known.found
        found = self.store.objects(self._name(path.parent), f"{stem.name}.")
        self._stems[stem] = _Look(time.monotonic(), found)
        return found

    def folder(self, path: Path) -> Mapping[str, Found]:
        """All objects of a folder, those of folders in it apart."""
        known = self._folders.get(path)
        if known is not None and known.holds:
            return known.found
        for stem in list(self._stems):  # other threads put, and send, meanwhile
            if stem.parent == path:
                self._stems.pop(stem, None)
        found = self.store.objects(self._name(path))
        self._folders[path] = _Look(time.monotonic(), found)
        return found

    def folders(self, path: Path) -> list[Path]:
        """The folders in a folder."""
        return [path / name for name in self.store.folders(self._name(path))]

    def walk(self, path: Path) -> dict[Path, Found]:
        """All objects below a folder."""
        return {path / name: found for name, found in self.store.walk(self._name(path)).items()}

    def bring(self, path: Path, *, ours: bool = False) -> bool:
        """Make the file here what the store has, which may be none; gives whether it has one.

        `ours`: this process holds the shard, and what lies here of it is no better.
        """
        found = self.find(path)
        if self._is_current(path, found) or (not ours and _is_held(path)):
            return found is not None
        if found is None or not self._fetch(path):
            path.unlink(missing_ok=True)
            self._note(path).unlink(missing_ok=True)
            return False
        self._remember(path, found)
        return True

    def bring_all(self, paths: Iterable[Path]) -> None:
        """As `bring`, side by side."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bring") as pool:
            list(pool.map(self.bring, paths))

    def drop_stale(self, path: Path) -> None:
        """Remove a file that is not what the store has; it is brought when it is asked for."""
        if not self._is_current(path, self.find(path)) and not _is_held(path):
            path.unlink(missing_ok=True)

    def put(self, *paths: Path) -> None:
        """Send files, one after the other: the last stands when all others do."""
        for path in paths:
            self.send(path)
        for path in paths:
            found = self.find(path)
            if found is not None:
                self._remember(path, found)

    def send(self, path: Path) -> None:
        """Send one file and remember nothing of it."""
        self.store.send(path, self._name(path))
        self._overlook(path)

    def write(self, path: Path, content: bytes, *, new: bool = False) -> None:
        """Make an object of bytes; nothing is written here.

        Raises:
            FileExistsError: It is to be `new`, and is there.
        """
        self.store.write(self._name(path), content, new=new)
        self._overlook(path)

    def read(self, path: Path) -> bytes | None:
        """An object's bytes; None: there is none."""
        return self.store.read(self._name(path))

    def read_all(self, paths: Sequence[Path]) -> list[bytes]:
        """Several objects' bytes, read side by side; of one that is gone, none."""
        return self.store.read_all(list(map(self._name, paths)))

    def heads(self, paths: Sequence[Path], size: int) -> list[bytes]:
        """The first bytes of each object; of one that cannot be read, none."""
        return self.store.heads(list(map(self._name, paths)), size)

    def delete(self, paths: Sequence[Path]) -> None:
        """Remove objects, and the files here; there may be none."""
        for path in paths:
            path.unlink(missing_ok=True)
            self._note(path).unlink(missing_ok=True)
        self.store.delete(list(map(self._name, paths)))
        for path in paths:
            self._overlook(path)

    def erase(self, path: Path) -> None:
        """Remove an object; a file here stays."""
        self.store.delete([self._name(path)])
        self._overlook(path)

    def copy(self, made: Path, saved: Path, to: "Mirror") -> None:
        """Make an object of ours one of `to`; within one store its bytes do not come here.

        Raises:
            FileNotFoundError: There is none.
        """
        self.store.copy(self._name(made), to.store, _name(saved, to.root))

    def _name(self, path: Path) -> str:
        return _name(path, self.root)

    def _overlook(self, path: Path) -> None:
        """What was listed of a path is no longer so."""
        self._stems.pop(_stem(path), None)
        self._folders.pop(path.parent, None)

    def _fetch(self, path: Path) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            self.store.fetch(self._name(path), part)
            part.replace(path)
        except FileNotFoundError:  # it went since it was listed
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    def _note(self, path: Path) -> Path:
        return self.root / ".stamps" / path.relative_to(self.root)

    def _remember(self, path: Path, found: Found) -> None:
        """Note that the file here, as it is now, is the object of that stamp."""
        note = self._note(path)
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_name(f"{note.name}.{uuid4().hex}")
        part.write_text(f"{found.stamp}\n{_state(path)}")
        part.replace(note)

    def _is_current(self, path: Path, found: Found | None) -> bool:
        if found is None:
            return not path.exists()
        try:
            return self._note(path).read_text() == f"{found.stamp}\n{_state(path)}"
        except OSError:
            return False


def _name(path: Path, root: Path) -> str:
    return "" if path == root else path.relative_to(root).as_posix()


def _stem(path: Path) -> Path:
    """What all files of a shard share; see `Shard`."""
    return path.with_name(path.name.partition(".")[0])


def _is_held(path: Path) -> bool:
    """Whether a process of this machine writes the shard that the file belongs to."""
    return is_flocked(path.with_name(f"{_stem(path).name}.owner"))


def _state(path: Path) -> str:
    stat = os.stat(path)  # noqa: PTH116  # a third of Path.stat's cost
    return f"{stat.st_size} {stat.st_mtime_ns}"
