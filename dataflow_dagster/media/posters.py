"""A clip as a picture or two: what the UI shows of it."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from PIL.Image import Image

STRIP_FRAMES = 4


def poster(path: Path, *, max_pixels: int | None = None) -> "Image":
    """The frame in the middle, 8-bit RGB, upright.

    Raises:
        RowError: As `read_frames`; ``no_pyav``: the library that decodes is not installed.
    """
    return _pictures(path, FrameChoice(1, max_pixels=max_pixels))[0]


def strip(path: Path, *, frames: int = STRIP_FRAMES, max_pixels: int | None = None) -> "Image":
    """So many frames side by side, evenly spaced in time; `max_pixels` is that of one.

    Raises:
        RowError: As `poster`.
    """
    from PIL import Image

    pictures = _pictures(path, FrameChoice(frames, max_pixels=max_pixels))
    width, height = pictures[0].size
    beside = Image.new("RGB", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        beside.paste(picture, (number * width, 0))
    return beside


def _pictures(path: Path, choice: FrameChoice) -> "list[Image]":
    from PIL import Image

    if find_spec("av") is None:  # rows may name clips that no step looks into
        raise RowError("no_pyav", f"{path}: no clip can be shown without PyAV: pip install av")
    return [Image.fromarray(pixels) for pixels in read_frames(path, choice).pixels]
