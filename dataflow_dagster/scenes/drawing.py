"""Scenes: drawn pictures whose captions are known.

A scene is one shape of one colour on a background of another: 3 x 6 x 5 = 90 of them. Ten are
kept out of all training (`UNSEEN`), so that a model which answers them has learnt what shapes
and colours are, not ninety pictures by heart.
"""

import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 170, 70),
    "blue": (40, 70, 220),
    "yellow": (240, 210, 40),
    "purple": (140, 50, 170),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle")
SUPERSAMPLING = 4
_CAPTION = re.compile(r"a (\w+) (\w+) on a (\w+) background")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows: one of `SHAPES`, and two different names from `PALETTE`."""

    shape: str
    colour: str
    background: str

    @property
    def caption(self) -> str:
        """`a red circle on a blue background`: no capital, no full stop."""
        return f"a {self.colour} {self.shape} on a {self.background} background"


SCENES: tuple[Scene, ...] = tuple(
    Scene(shape, colour, background)
    for shape in SHAPES
    for colour in PALETTE
    for background in PALETTE
    if colour != background
)
UNSEEN: tuple[Scene, ...] = tuple(random.Random(7).sample(SCENES, 10))
SEEN: tuple[Scene, ...] = tuple(scene for scene in SCENES if scene not in UNSEEN)


def parse_caption(text: str) -> Scene | None:
    """The scene of a caption, spaces at its ends allowed; None for any other text."""
    match = _CAPTION.fullmatch(text.strip())
    scene = Scene(match[2], match[1], match[3]) if match else None
    return scene if scene in SCENES else None


def draw(
    scene: Scene, rng: random.Random, size: int = 64, *, jitter: float = 1.0, smooth: bool = True
) -> "Image":
    """RGB, (size, size); `rng` places and scales the shape.

    Args:
        scene: what to draw.
        rng: gives three numbers, whatever the other arguments are.
        size: pixels a side.
        jitter: 0 puts a shape of radius 0.27 of the side in the middle; 1 moves it by up to 0.12
            and its radius by up to 0.05 of the side.
        smooth: antialiased edges.
    """
    radius = 0.27 + jitter * rng.uniform(-0.05, 0.05)
    x = 0.5 + jitter * rng.uniform(-0.12, 0.12)
    y = 0.5 + jitter * rng.uniform(-0.12, 0.12)
    return draw_at(scene, (x, y), radius, size, smooth=smooth)


def draw_at(
    scene: Scene, centre: tuple[float, float], radius: float, size: int, *, smooth: bool = True
) -> "Image":
    """RGB, (size, size); place and size of the shape are told in shares of the side."""
    from PIL import Image, ImageDraw

    side = size * SUPERSAMPLING if smooth else size
    picture = Image.new("RGB", (side, side), PALETTE[scene.background])
    x, y = (side * share for share in centre)
    _draw_shape(ImageDraw.Draw(picture), scene, (x, y), side * radius)
    return picture.resize((size, size), Image.Resampling.LANCZOS) if smooth else picture


def _draw_shape(
    canvas: "ImageDraw", scene: Scene, centre: tuple[float, float], radius: float
) -> None:
    x, y = centre
    fill = PALETTE[scene.colour]
    if scene.shape == "circle":
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    elif scene.shape == "square":
        half = 0.9 * radius
        canvas.rectangle((x - half, y - half, x + half, y + half), fill=fill)
    else:
        base = y + 0.85 * radius
        canvas.polygon([(x, y - radius), (x - radius, base), (x + radius, base)], fill=fill)
