"""Whatever a decoder hands out, as upright 8-bit RGB."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

_WHITE = (255, 255, 255)


def as_rgb(picture: "Image") -> "Image":
    """8-bit RGB, turned as its EXIF says.

    Transparency is laid on white. 16-bit grey is scaled by 255/65535; so are 32-bit integers,
    clipped to 16 bits; floats are taken to lie in 0..1, or in 0..255 where one is above 1.
    """
    picture = _upright(picture)
    if picture.mode.startswith(("I", "F")):
        return _scaled(picture).convert("RGB")
    if picture.has_transparency_data:
        return _on_white(picture.convert("RGBA"))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _upright(picture: "Image") -> "Image":
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - broken EXIF: shown as it lies, as every viewer does
        return picture


def _on_white(picture: "Image") -> "Image":
    from PIL import Image

    ground = Image.new("RGB", picture.size, _WHITE)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _scaled(picture: "Image") -> "Image":
    import numpy as np
    from PIL import Image

    values: Any = np.asarray(picture).astype(np.float32)
    if picture.mode == "F":
        values = np.nan_to_num(values, nan=0.0)
        values = values * 255 if values.max(initial=0) <= 1 else values
    else:
        values = values * (255 / 65535)
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
