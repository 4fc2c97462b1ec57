import random

from dataflow_dagster.scenes.distortion import SIZES, draw_distorted
from dataflow_dagster.scenes.drawing import SCENES


def test_distorted_pictures_are_rgb_and_nearly_square() -> None:
    rng = random.Random(0)
    for scene in SCENES:
        picture = draw_distorted(scene, rng)
        assert picture.mode == "RGB"
        assert SIZES[0] <= min(picture.size) <= SIZES[1]
        assert max(picture.size) <= 1.11 * min(picture.size)


def test_the_same_seed_distorts_alike() -> None:
    first, second = (
        [draw_distorted(scene, rng).tobytes() for scene in SCENES]
        for rng in (random.Random(3), random.Random(3))
    )
    assert first == second
