"""Pictures read from wherever a row says, and written so that they are whole or absent."""

import stat
import threading
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from dataflow_dagster.media.colors import as_rgb
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS: Final = 178_956_970
"""Pillow's own limit: 512 MiB as RGB. https://pillow.readthedocs.io/en/stable/reference/Image.html"""

READABLE: Final = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB"),
    *("TIFF", "JPEG2000", "AVIF", "PPM", "ICO"),
)
"""Pillow's decoders that know their files by the first bytes and work in memory alone.

JPEG reads MPO too. Left out are, among others, EPS, which starts Ghostscript, and TGA, which takes
other files for its own.
"""

MOST_FLAT: Final = 3
"""Steps of 255 that JPEG may add to a picture of one colour."""

_ENCODERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    ".jpg": ("JPEG", {"quality": 95}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".png": ("PNG", {}),
    ".webp": ("WEBP", {"quality": 95}),
    ".bmp": ("BMP", {}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
}

_opening = threading.Lock()


def read_picture(path: Path, *, max_pixels: int = MOST_PIXELS) -> "Image":
    """8-bit RGB, (H, W), upright; of an animation the first frame.

    Transparency is laid on white; 16-bit values are scaled to 8 bits. May be called from threads.

    Args:
        path: The file; its name's ending does not matter.
        max_pixels: Width times height above which nothing is decoded.

    Raises:
        RowError: ``missing_file``, ``not_a_file``, ``unreadable_file``, ``empty_file``,
            ``corrupt_picture`` or ``picture_too_large``.
    """
    _look(path)
    try:
        with path.open("rb") as file:
            return _decode(path, file, max_pixels)
    except OSError as refused:
        raise RowError("unreadable_file", f"{path}: {refused}") from refused


def decode_picture(content: bytes, source: str, *, max_pixels: int = MOST_PIXELS) -> "Image":
    """The same of a picture file's bytes in memory.

    Args:
        content: The bytes of the file.
        source: Where they come from, for messages.
        max_pixels: Width times height above which nothing is decoded.

    Raises:
        RowError: ``empty_file``, ``corrupt_picture`` or ``picture_too_large``.
    """
    if not content:
        raise RowError("empty_file", f"{source} has 0 bytes")
    return _decode(source, BytesIO(content), max_pixels)


def write_picture(picture: "Image", path: Path) -> None:
    """The ending tells the encoder (JPEG and WebP at quality 95); equal pixels give equal bytes.

    Raises:
        ValueError: The ending is none that `picture_extension` returns.
    """
    if path.suffix.lower() not in _ENCODERS:
        raise ValueError(f"{path}: pictures are written as {', '.join(_ENCODERS)}")
    encoder, options = _ENCODERS[path.suffix.lower()]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            picture.save(file, format=encoder, **options)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def is_blank(picture: "Image") -> bool:
    """Whether a person sees one colour and nothing else: no channel varies more than that."""
    extrema = cast("tuple[tuple[int, int], ...]", picture.convert("RGB").getextrema())
    return all(high - low <= MOST_FLAT for low, high in extrema)


def picture_extension(extension: str) -> str:
    """The extension itself where it tells an encoder, else ``.png``."""
    return extension if extension.lower() in _ENCODERS else ".png"


def _look(path: Path) -> None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as missing:
        raise RowError("missing_file", f"{path}: there is no such file") from missing
    except (OSError, ValueError) as refused:
        raise RowError("unreadable_file", f"{path}: {refused}") from refused
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise RowError("not_a_file", f"{path} is {what}; a picture is a file")
    if found.st_size == 0:
        raise RowError("empty_file", f"{path} has 0 bytes")


def _decode(path: Path | str, file: BinaryIO, max_pixels: int) -> "Image":
    from PIL import Image

    try:
        picture = _opened(file)
        _measure(path, picture.size, max_pixels)
        picture.load()
        upright = as_rgb(picture)
        upright.info = {}  # a profile or EXIF that no longer holds would be written along
        return upright
    except RowError:
        raise
    except Image.DecompressionBombError as bomb:
        raise RowError("picture_too_large", f"{path}: {bomb}") from bomb
    except Exception as broken:
        raise RowError("corrupt_picture", f"{path}: {_reason(broken)}") from broken


def _opened(file: BinaryIO) -> "Image":
    """Only the header is read.

    Pillow's own limit is for the whole process and only warns up to twice its value; ours is
    checked on what the header says, so Pillow's is put aside while it reads headers.
    """
    from PIL import Image

    with _opening, _without_limit():
        Image.init()  # only a few decoders are known before; a named one that is not is a KeyError
        return Image.open(file, formats=READABLE)


@contextmanager
def _without_limit() -> Generator[None]:
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _measure(path: Path | str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        message = f"{path}: {width}x{height} is {width * height} pixels; allowed: {max_pixels}"
        raise RowError("picture_too_large", message)


def _reason(broken: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(broken, UnidentifiedImageError):
        return f"no picture that can be read; allowed: {', '.join(READABLE)}"
    return f"cannot be decoded: {broken or type(broken).__name__}"
