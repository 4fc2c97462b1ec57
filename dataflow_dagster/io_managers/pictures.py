"""Pictures that travel with rows: opened only when they are looked at."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow_dagster.media.pictures import decode_picture, read_picture, write_picture
from dataflow_dagster.places import AnyPath, place
from dataflow_dagster.rows import PICTURE, Row, current
from dataflow_dagster.stores import mirrors

if TYPE_CHECKING:
    from PIL.Image import Image

_FORBIDDEN = re.compile(r"[^\w.-]")
"""In a file's name: a column is named by the user, and leads nowhere."""


@dataclass(frozen=True, slots=True)
class LazyPicture:
    """A picture file that is decoded at each `open`."""

    path: AnyPath

    def open(self) -> "Image":
        """Decode the file: upright, 8-bit RGB.

        Raises:
            RowError: The file is missing or no picture.
        """
        if isinstance(self.path, Path):
            return read_picture(self.path)
        return decode_picture(self.path.read_bytes(), str(self.path))


def with_lazy_pictures(rows: Iterable[Row]) -> list[Row]:
    """Rows with their newest picture under ``dataflow_picture``; None where a row has none."""
    column = current("image")
    return [
        {**row, PICTURE: LazyPicture(place(row[column])) if row.get(column) else None}
        for row in rows
    ]


def save_pictures(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """Rows in which each PIL picture is saved as PNG and replaced by its path.

    Args:
        rows: Of a user's asset.
        path: The rows' file: pictures go to ``<stem>_pictures/<row number>_<column>.png``.
    """
    folder = path.with_name(f"{path.stem}_pictures")
    for number, row in enumerate(rows):
        yield {
            column: _saved(value, folder / f"{file_stem(number, column)}.png")
            for column, value in row.items()
        }


def file_stem(number: int, column: str) -> str:
    """What the medium in one column of one row is called on disk."""
    return f"{number:06d}_{_FORBIDDEN.sub('_', column)}"


def _saved(value: Any, path: Path) -> Any:
    if isinstance(value, LazyPicture):
        return str(value.path)
    if not hasattr(value, "getbands"):  # what only a PIL picture has
        return value
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(value, path)
    mirrors.put(path)
    return mirrors.address(path)
