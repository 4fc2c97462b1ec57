import random

import numpy as np
import pytest
from PIL import Image

from dataflow_dagster.scenes.distortion import draw_distorted
from dataflow_dagster.scenes.drawing import SCENES, Scene, draw
from dataflow_dagster.scenes.judging import judge


def test_the_judge_reads_every_scene_back() -> None:
    rng = random.Random(0)
    for scene in SCENES * 3:
        assert judge(draw(scene, rng)) == scene


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("size", [32, 48, 200, 700])
def test_the_judge_reads_any_size(size: int, smooth: bool) -> None:
    rng = random.Random(size)
    for scene in rng.sample(SCENES, 12):
        assert judge(draw(scene, rng, size, smooth=smooth)) == scene


def test_the_judge_reads_distorted_pictures() -> None:
    rng = random.Random(1)
    right = sum(judge(draw_distorted(scene, rng)) == scene for scene in SCENES * 2)
    assert right >= 0.98 * 2 * len(SCENES)


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_the_judge_reads_other_modes(mode: str) -> None:
    scene = Scene("triangle", "purple", "yellow")
    assert judge(draw(scene, random.Random(0)).convert(mode)) == scene


def test_the_judge_finds_nothing_in_an_empty_picture() -> None:
    assert judge(Image.new("RGB", (64, 64), "red")) is None
    assert judge(Image.new("L", (1, 1))) is None


def test_the_judge_finds_nothing_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert judge(Image.fromarray(noise)) is None


def test_the_judge_finds_nothing_in_two_halves() -> None:
    halves = Image.new("RGB", (64, 64), "red")
    halves.paste("blue", (0, 0, 32, 64))
    assert judge(halves) is None
