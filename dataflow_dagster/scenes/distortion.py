"""Scenes as other programs would write them: other sizes, edges, resampling, JPEG, blur, noise."""

import io
import random
from typing import TYPE_CHECKING

from dataflow_dagster.scenes.drawing import Scene, draw

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = (48, 160)
FILTERS = ("NEAREST", "BOX", "BILINEAR", "BICUBIC", "LANCZOS")


def draw_distorted(scene: Scene, rng: random.Random, *, jitter: float = 1.0) -> "Image":
    """RGB, 48 to 160 pixels a side, one side up to 10 % longer; three in ten as `draw` made it."""
    if rng.random() < 0.3:
        return draw(scene, rng, jitter=jitter)
    picture = draw(scene, rng, rng.randint(*SIZES), jitter=jitter, smooth=rng.random() < 0.7)
    return _pass_on(_resize(picture, rng), rng)


def _resize(picture: "Image", rng: random.Random) -> "Image":
    from PIL import Image

    resample = Image.Resampling[rng.choice(FILTERS)]
    size = rng.randint(*SIZES)
    sides = [size, round(size * rng.uniform(1.0, 1.1))]
    rng.shuffle(sides)
    return picture.resize((sides[0], sides[1]), resample) if rng.random() < 0.6 else picture


def _pass_on(picture: "Image", rng: random.Random) -> "Image":
    for change in (_blur, _add_noise, _compress):
        if rng.random() < 0.25:
            picture = change(picture, rng)
    return picture


def _blur(picture: "Image", rng: random.Random) -> "Image":
    from PIL import ImageFilter

    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2) * picture.width / 64))


def _add_noise(picture: "Image", rng: random.Random) -> "Image":
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(rng.getrandbits(32)).normal(
        0, rng.uniform(1, 10), (picture.height, picture.width, 3)
    )
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def _compress(picture: "Image", rng: random.Random) -> "Image":
    from PIL import Image

    file = io.BytesIO()
    picture.save(file, "JPEG", quality=rng.randint(40, 95))
    return Image.open(file).convert("RGB")
