"""A folder of pictures: one row a picture."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from dataflow_dagster.formats.format import (
    BEGINNING,
    BLOCK_ROWS,
    Block,
    InputError,
    Mark,
)
from dataflow_dagster.places import AnyPath

PICTURE_ENDINGS: Final = frozenset(
    (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
)


class PictureFolder:
    """Rows ``{<image_key>: path relative to the folder}``, in order of path, sub-folders included.

    Pictures are known by their ending, whatever its case. Names that begin with a dot are passed
    over (``._cat.jpg`` is no picture but what macOS leaves on foreign disks).

    Args:
        image_key: The column that is to hold the path.
    """

    def __init__(self, image_key: str = "image") -> None:
        self._image_key = image_key

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """Marks count pictures.

        Raises:
            InputError: There is no such folder, or one within it cannot be listed.
        """
        pictures = islice(_walk(path, "", frozenset()), start.position, None)
        at = start.position
        while block := list(islice(pictures, BLOCK_ROWS)):
            yield Block(Mark(at, 0), [{self._image_key: picture} for picture in block])
            at += len(block)


class PictureList:
    """Rows ``{<image_key>: path}`` of pictures that are known by name.

    Args:
        image_key: The column that is to hold the path.
        names: Paths relative to the folder that is read.
    """

    def __init__(self, image_key: str, names: Sequence[str]) -> None:
        self._image_key = image_key
        self._names = names

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """Marks count pictures; whether they are there is seen when they are looked at."""
        for at in range(start.position, len(self._names), BLOCK_ROWS):
            names = self._names[at : at + BLOCK_ROWS]
            yield Block(Mark(at, 0), [{self._image_key: name} for name in names])


def _walk(folder: AnyPath, before: str, above: frozenset[str]) -> Iterator[str]:
    """Paths relative to the first folder; the names of one folder are held at once.

    Args:
        folder: Where to look.
        before: Its own path relative to the first folder, with a slash at the end.
        above: The real folders it lies in, so that a link to one of them does not go round.
    """
    real = str(folder.resolve()) if isinstance(folder, Path) else str(folder)
    if real in above:
        return
    try:
        found = sorted(_entries(folder))
    except OSError as refused:
        raise InputError(folder, f"cannot be listed: {refused}") from refused
    for name, is_folder in found:
        if name.startswith(".") or not name:
            continue
        if is_folder:
            yield from _walk(folder / name, f"{before}{name}/", above | {real})
        elif PurePosixPath(name).suffix.lower() in PICTURE_ENDINGS:
            yield before + name


def _entries(folder: AnyPath) -> Iterator[tuple[str, bool]]:
    """Names, and whether each is a folder's; of a store in one question, not one for each name."""
    if isinstance(folder, Path):
        yield from ((entry.name, entry.is_dir()) for entry in folder.iterdir())
        return
    listed: list[dict[str, Any]] = folder.fs.ls(folder.path, detail=True)
    for entry in listed:
        name = str(entry["name"]).rstrip("/")
        if name != folder.path.rstrip("/"):  # a store may keep an object of the folder's own name
            yield name.rpartition("/")[2], entry["type"] == "directory"
