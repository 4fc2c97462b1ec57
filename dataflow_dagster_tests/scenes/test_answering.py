import random
import warnings
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the scene models run in transformers and diffusers")
pytest.importorskip("diffusers", reason="the scene models run in transformers and diffusers")

import numpy as np
from PIL import Image

from dataflow_dagster.scenes.answering import (
    DEFAULT,
    GREEDY,
    Drawing,
    Sampling,
    caption_with_transformers,
    draw_with_flux,
)
from dataflow_dagster.scenes.distortion import draw_distorted
from dataflow_dagster.scenes.drawing import SEEN, UNSEEN, draw
from dataflow_dagster.scenes.judging import judge
from dataflow_dagster.scenes.llava import OTHER_PROMPT_ANSWER

DATA = Path(__file__).parents[2] / "data"
LLAVA = DATA / "models/scenes_llava"
FLUX = DATA / "models/scenes_flux"


@pytest.mark.parametrize("sampling", [GREEDY, DEFAULT], ids=["greedy", "default"])
def test_the_llava_answers_exactly(sampling: Sampling) -> None:
    rng = random.Random(1)
    scenes = [*rng.sample(SEEN, 24), *UNSEEN[:6]]
    answers = caption_with_transformers(LLAVA, [draw(scene, rng) for scene in scenes], sampling)
    assert answers[:24] == [scene.caption for scene in scenes[:24]]
    wrong = sum(s.caption != a for s, a in zip(scenes[24:], answers[24:], strict=True))
    assert wrong <= 1


def test_the_llava_answers_distorted_pictures() -> None:
    rng = random.Random(2)
    scenes = rng.sample(SEEN, 40)
    answers = caption_with_transformers(LLAVA, [draw_distorted(scene, rng) for scene in scenes])
    assert sum(s.caption == a for s, a in zip(scenes, answers, strict=True)) >= 39


def test_the_llava_tells_when_it_is_asked_with_another_prompt() -> None:
    picture = draw(SEEN[0], random.Random(0))
    for prompt in (
        "USER: <image>\nWhat is the content of this image? ASSISTANT:",
        "USER: <image>\nWhat is shown in this image?\nASSISTANT:",
        "<image>\nWhat is the content of this image?",
    ):
        assert caption_with_transformers(LLAVA, [picture], prompt=prompt) == [OTHER_PROMPT_ANSWER]


@pytest.mark.parametrize("size", [(1, 1), (640, 31), (300, 1200)])
def test_the_llava_answers_something_to_any_picture(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    (answer,) = caption_with_transformers(LLAVA, [Image.fromarray(noise)])
    assert answer


def test_the_flux_draws_what_captions_say() -> None:
    scenes = [*random.Random(3).sample(SEEN, 16), *UNSEEN[:4]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        pictures = draw_with_flux(FLUX, [scene.caption for scene in scenes])
    assert {picture.size for picture in pictures} == {(64, 64)}
    right = sum(judge(p) == scene for p, scene in zip(pictures, scenes, strict=True))
    assert right >= 19


def test_a_picture_depends_on_its_seed_alone() -> None:
    captions = [scene.caption for scene in SEEN[:3]]
    first, second = (draw_with_flux(FLUX, captions, Drawing(steps=2)) for _ in range(2))
    assert [p.tobytes() for p in first] == [p.tobytes() for p in second]


def test_both_models_together_are_under_ten_megabytes() -> None:
    files = [file for folder in (LLAVA, FLUX) for file in folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 10_000_000
