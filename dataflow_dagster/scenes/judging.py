"""Reads a scene back from a picture by rules, so that no model is judged by another."""

from typing import TYPE_CHECKING, Any

from dataflow_dagster.scenes.drawing import PALETTE, Scene

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_SIDE = 128
LEAST_OVERLAP = 0.8
LEAST_BORDER = 0.8
_COLOURS = tuple(PALETTE)
_Array = Any  # numpy must not be imported here at module level, nor for its types


def judge(picture: "Image") -> Scene | None:
    """The scene in a picture of any mode and size, or None where none is clearly there.

    The background is the colour of the border, the shape the commonest other colour in the middle
    third; its pixels must overlap a circle, square or triangle that fills their bounding box by
    `LEAST_OVERLAP` (intersection over union). Below some 32 pixels a side soft edges hide shapes.
    """
    labels = _label_pixels(picture)
    background = _find_background(labels)
    colour = None if background is None else _find_colour(labels, background)
    if background is None or colour is None:
        return None
    shape = _find_shape(labels == colour)
    return Scene(shape, _COLOURS[colour], _COLOURS[background]) if shape else None


def _label_pixels(picture: "Image") -> _Array:
    """Index of the nearest colour of the palette, (H, W), sides at most `LONGEST_SIDE`."""
    import numpy as np

    small = picture.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    pixels = np.asarray(small, dtype=np.float32)[:, :, None]
    palette = np.array(list(PALETTE.values()), dtype=np.float32)
    return ((pixels - palette) ** 2).sum(-1).argmin(-1)


def _find_background(labels: _Array) -> int | None:
    import numpy as np

    edge = max(1, min(labels.shape) // 20)
    border = np.ones(labels.shape, dtype=bool)
    border[edge:-edge, edge:-edge] = False
    counts = np.bincount(labels[border], minlength=len(_COLOURS))
    return int(counts.argmax()) if counts.max() >= LEAST_BORDER * counts.sum() else None


def _find_colour(labels: _Array, background: int) -> int | None:
    import numpy as np

    height, width = labels.shape
    middle = labels[height // 3 : 2 * height // 3 + 1, width // 3 : 2 * width // 3 + 1]
    counts = np.bincount(middle[middle != background], minlength=len(_COLOURS))
    return int(counts.argmax()) if counts.any() else None


def _find_shape(mask: _Array) -> str | None:
    import numpy as np

    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    y, x = ((np.arange(side) + 0.5) / side for side in box.shape)
    templates = {
        "circle": (x - 0.5) ** 2 + (y[:, None] - 0.5) ** 2 <= 0.25,
        "square": np.ones(box.shape, dtype=bool),
        "triangle": np.abs(x - 0.5) <= y[:, None] / 2,
    }
    overlaps = {name: (box & full).sum() / (box | full).sum() for name, full in templates.items()}
    best = max(overlaps, key=lambda name: overlaps[name])
    return best if overlaps[best] > LEAST_OVERLAP else None
