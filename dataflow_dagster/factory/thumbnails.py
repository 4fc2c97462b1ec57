"""Pictures and clips small enough to stand in an event of the run's log."""

from base64 import b64encode
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from dataflow_dagster.decoding.previews import Previews
from dataflow_dagster.factory.tables import cell
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.media.posters import STRIP_FRAMES, strip
from dataflow_dagster.rows import Medium, RowError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 80
_QUALITY = 70
_MOST_PIXELS = 50_000_000
_FRAME_PIXELS = 64 * 64


def strips() -> Previews:
    """Makes the clips' pictures that `thumbnail` shows; a context."""
    return Previews(partial(strip, max_pixels=_FRAME_PIXELS))


def thumbnail(path: Path, medium: Medium, clips: Previews) -> str:
    """A picture, or a clip's frames side by side, as markdown; or why there is none.

    A picture has at most `SIDE` pixels a side, and some 2 kB; a strip is as high, and has 4 kB.
    """
    shown = clips.of(path) if medium == "video" else _picture(path)
    if isinstance(shown, RowError):
        return cell(shown.kind)
    shown.thumbnail((SIDE if medium == "image" else SIDE * STRIP_FRAMES, SIDE))
    file = BytesIO()
    shown.save(file, format="JPEG", quality=_QUALITY)
    return f"![](data:image/jpeg;base64,{b64encode(file.getvalue()).decode()})"


def _picture(path: Path) -> "Image | RowError":
    try:
        return read_picture(path, max_pixels=_MOST_PIXELS)
    except RowError as error:
        return error
