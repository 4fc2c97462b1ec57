"""Moving scenes: drawn clips whose captions are known.

A scene of `drawing` whose shape moves one of four ways: 360 of them. The scenes that are kept out
of all training there are kept out here too, whichever way they move.
"""

import random
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from dataflow_dagster.scenes.drawing import SCENES, UNSEEN, Scene, draw_at

if TYPE_CHECKING:
    from PIL.Image import Image

MOVES: dict[str, tuple[int, int]] = {
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
}
"""In pixels of a picture: y grows downwards."""
RADIUS, REACH, ASIDE = (0.19, 0.27), (0.12, 0.22), 0.1
"""Shares of the side: of the shape; from the middle to where it begins and ends; beside that."""


@dataclass(frozen=True, slots=True)
class MovingScene:
    """What a clip shows: a scene, and which of `MOVES` its shape makes."""

    scene: Scene
    move: str

    @property
    def caption(self) -> str:
        """`a red circle moving left on a blue background`."""
        of = self.scene
        return f"a {of.colour} {of.shape} moving {self.move} on a {of.background} background"


MOVING: tuple[MovingScene, ...] = tuple(
    MovingScene(scene, move) for scene, move in product(SCENES, MOVES)
)
UNSEEN_MOVING: tuple[MovingScene, ...] = tuple(one for one in MOVING if one.scene in UNSEEN)
SEEN_MOVING: tuple[MovingScene, ...] = tuple(one for one in MOVING if one.scene not in UNSEEN)


@dataclass(frozen=True, slots=True)
class Path:
    """How a shape moves through a clip, in shares of the side.

    Attributes:
        radius: Of the shape.
        begins: Where its centre is in the first frame, (x, y).
        ends: And in the last one.
    """

    radius: float
    begins: tuple[float, float]
    ends: tuple[float, float]

    def centre(self, gone: float) -> tuple[float, float]:
        """Where the shape is when that share of the clip, 0 to 1, is over."""
        (x, y), (to_x, to_y) = self.begins, self.ends
        return x + gone * (to_x - x), y + gone * (to_y - y)


def choose_path(move: str, rng: random.Random, jitter: float = 1.0) -> Path:
    """One of that move: how large the shape is, how far it moves, and how far beside the middle.

    Args:
        move: One of `MOVES`.
        rng: Gives three numbers.
        jitter: 0 lets all three have their means.
    """
    radius, reach, aside = (
        (low + high) / 2 + jitter * rng.uniform(low - high, high - low) / 2
        for low, high in (RADIUS, REACH, (-ASIDE, ASIDE))
    )
    x, y = MOVES[move]
    middle = (0.5 + aside * y, 0.5 + aside * x)
    begins, ends = ((middle[0] + way * x, middle[1] + way * y) for way in (-reach, reach))
    return Path(radius, begins, ends)


def draw_frames(
    moving: MovingScene, rng: random.Random, count: int, size: int = 64
) -> "list[Image]":
    """RGB, (size, size) each, at equal steps of a path that `rng` chooses."""
    path = choose_path(moving.move, rng)
    steps = [number / max(1, count - 1) for number in range(count)]
    return [draw_at(moving.scene, path.centre(gone), path.radius, size) for gone in steps]
