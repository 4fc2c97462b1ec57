"""Clips that travel with rows: opened only when they are looked at."""

import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow_dagster.io_managers.pictures import file_stem
from dataflow_dagster.media.clips import Clip, write_clip
from dataflow_dagster.media.frames import FrameChoice, Frames, read_frames
from dataflow_dagster.media.posters import poster
from dataflow_dagster.places import AnyPath, place
from dataflow_dagster.rows import CLIP, Row, current
from dataflow_dagster.stores import mirrors

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class LazyClip:
    """A video file that is decoded at each call."""

    path: AnyPath

    def frames(self, num_frames: int, *, max_pixels: int | None = None) -> Frames:
        """So many frames, evenly spaced in time: 8-bit RGB, upright.

        Raises:
            RowError: The file is missing or no video.
        """
        with _here(self.path) as path:
            return read_frames(path, FrameChoice(num_frames, max_pixels=max_pixels))

    def poster(self) -> "Image":
        """The frame in the middle.

        Raises:
            RowError: The file is missing or no video.
        """
        with _here(self.path) as path:
            return poster(path)


def with_lazy_clips(rows: Iterable[Row]) -> list[Row]:
    """Rows with their newest clip under ``dataflow_clip``; None where a row has none."""
    column = current("video")
    return [
        {**row, CLIP: LazyClip(place(row[column])) if row.get(column) else None} for row in rows
    ]


def save_clips(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """Rows in which each `Clip` is saved as mp4 and replaced by its path.

    Args:
        rows: Of a user's asset.
        path: The rows' file: clips go to ``<stem>_clips/<row number>_<column>.mp4``.
    """
    folder = path.with_name(f"{path.stem}_clips")
    for number, row in enumerate(rows):
        yield {
            column: _saved(value, folder / f"{file_stem(number, column)}.mp4")
            for column, value in row.items()
        }


def _saved(value: Any, path: Path) -> Any:
    if isinstance(value, LazyClip):
        return str(value.path)
    if not isinstance(value, Clip):
        return value
    write_clip(value, path)
    mirrors.put(path)
    return mirrors.address(path)


@contextmanager
def _here(path: AnyPath) -> Generator[Path]:
    """A file of this machine: decoders of video read nothing else."""
    if isinstance(path, Path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dataflow-") as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(path.read_bytes())
        yield copy
