"""Pictures as data URLs, for servers that are sent them in JSON."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dataflow_dagster.media.jpeg import is_all_there
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES: Final = 4 * 2**20
"""A file up to this size, of a format and size that need no change, is sent as it is."""

_AS_THEY_ARE: Final = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
"""A file's first bytes → what it is."""

_ORIENTATION: Final = 0x0112
"""EXIF tag of the side that is up; 1: as stored."""


def data_url(path: Path, *, max_side: int) -> str:
    """The picture as ``data:image/…;base64,…``, upright, no side longer than `max_side` pixels.

    A small enough JPEG or PNG goes as the bytes on disk; all else as JPEG of quality 95.

    Raises:
        RowError: As `read_picture`, so that a broken file is told here and not by the server. A
            JPEG that goes as it is is not decoded for that (see `is_all_there`).
    """
    as_it_is = _as_it_is(path, max_side)
    content, mime = as_it_is or (_shrunk(read_picture(path), max_side), "image/jpeg")
    return f"data:{mime};base64,{b64encode(content).decode('ascii')}"


def _as_it_is(path: Path, max_side: int) -> tuple[bytes, str] | None:
    """The file's bytes and what they are; None where they must be changed, or may not be sent."""
    try:
        small = path.is_file() and path.stat().st_size <= MOST_BYTES
        content = path.read_bytes() if small else b""
    except (OSError, ValueError) as gone:
        raise RowError("unreadable_file", f"{path}: {gone}") from gone
    for beginning, mime in _AS_THEY_ARE.items():
        if content.startswith(beginning):
            return (content, mime) if _is_whole(content, max_side) else None
    return None


def _is_whole(content: bytes, max_side: int) -> bool:
    """Whether any viewer shows the picture as it is stored, and down to its last line."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=("JPEG", "PNG")) as picture:
            fits = max(picture.size) <= max_side and _shows_as_stored(picture)
            if fits and picture.format == "JPEG":
                return is_all_there(content)
            picture.load()
            return fits
    except Exception:  # noqa: BLE001  # what is wrong with it, `read_picture` tells
        return False


def _shows_as_stored(picture: "Image") -> bool:
    return (
        picture.mode in {"RGB", "L"}
        and "transparency" not in picture.info
        and picture.getexif().get(_ORIENTATION, 1) == 1
    )


def _shrunk(picture: "Image", max_side: int) -> bytes:
    picture.thumbnail((max_side, max_side))
    content = BytesIO()
    picture.save(content, "JPEG", quality=95)
    return content.getvalue()
