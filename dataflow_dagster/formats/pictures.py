"""A folder of pictures: one row a picture."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from dataflow_dagster.formats.format import (
    BEGINNING,
    BLOCK_ROWS,
    AnyPath,
    Block,
    InputError,
    Mark,
)

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


def _walk(folder: AnyPath, before: str, above: frozenset[str]) -> Iterator[str]:
    """Paths relative to the first folder; the names of one folder are held at once.

    Args:
        folder: Where to look.
        before: Its own path relative to the first folder, with a slash at the end.
        above: The real folders it lies in, so that a link to one of them does not go round.
    """
    real = str(folder.resolve())
    if real in above:
        return
    try:
        found = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as refused:
        raise InputError(folder, f"cannot be listed: {refused}") from refused
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{before}{entry.name}/", above | {real})
        elif entry.suffix.lower() in PICTURE_ENDINGS:
            yield before + entry.name
