"""Clips that travel with rows: opened only when they are looked at."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataflow_dagster.media.frames import FrameChoice, Frames, read_frames
from dataflow_dagster.media.posters import poster
from dataflow_dagster.rows import CLIP, Row, current

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class LazyClip:
    """A video file that is decoded at each call."""

    path: Path

    def frames(self, num_frames: int, *, max_pixels: int | None = None) -> Frames:
        """So many frames, evenly spaced in time: 8-bit RGB, upright.

        Raises:
            RowError: The file is missing or no video.
        """
        return read_frames(self.path, FrameChoice(num_frames, max_pixels=max_pixels))

    def poster(self) -> "Image":
        """The frame in the middle.

        Raises:
            RowError: The file is missing or no video.
        """
        return poster(self.path)


def with_lazy_clips(rows: Iterable[Row]) -> list[Row]:
    """Rows with their newest clip under ``dataflow_clip``; None where a row has none."""
    column = current("video")
    return [{**row, CLIP: LazyClip(Path(row[column])) if row.get(column) else None} for row in rows]
