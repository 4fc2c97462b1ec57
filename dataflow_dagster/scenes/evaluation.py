"""Measures the scene models: share of right answers, apart for seen and unseen scenes."""

import importlib.util
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dataflow_dagster.scenes.answering import (
    DEFAULT,
    GREEDY,
    Drawing,
    caption_clips,
    caption_with_transformers,
    caption_with_vllm,
    draw_with_flux,
)
from dataflow_dagster.scenes.clips import write_moving
from dataflow_dagster.scenes.distortion import draw_distorted
from dataflow_dagster.scenes.drawing import SEEN, UNSEEN, Scene, draw
from dataflow_dagster.scenes.judging import judge
from dataflow_dagster.scenes.moving import SEEN_MOVING, UNSEEN_MOVING

if TYPE_CHECKING:
    from PIL.Image import Image

SEED = 777
"""No training and no demo picture is drawn from it."""
SEEN_ROUNDS, UNSEEN_ROUNDS = 3, 9
SAMPLINGS = {"greedy": GREEDY, "default sampling": DEFAULT}
DRAWINGS = {
    "float32": Drawing(),
    "bfloat16": Drawing(precision="bfloat16"),
    "4 steps": Drawing(steps=4),
    "8 steps": Drawing(steps=8),
    "pad length 16": Drawing(max_sequence_length=16),
    "pad length 512": Drawing(max_sequence_length=512),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """Right answers out of all, for one engine and setting."""

    name: str
    seen: tuple[int, int]
    unseen: tuple[int, int]

    def __str__(self) -> str:
        """One line: `captions, vLLM, greedy: seen 240/240 (100.0%), unseen …`."""
        return f"{self.name}: seen {_as_share(*self.seen)}, unseen {_as_share(*self.unseen)}"


def measure_captions(folder: Path, rounds: tuple[int, int] | None = None) -> Iterator[Figure]:
    """The LLaVA in `folder`: on plain and distorted pictures, in transformers and in vLLM."""
    scenes = _repeat_scenes(rounds)
    rng = random.Random(SEED)
    kinds: dict[str, list[Image]] = {
        "plain": [draw(scene, rng) for scene in scenes],
        "distorted": [draw_distorted(scene, rng) for scene in scenes],
    }
    pictures = [picture for kind in kinds.values() for picture in kind]
    for engine, caption in _list_engines():
        for sampling, answers in zip(SAMPLINGS, caption(folder, pictures), strict=True):
            for number, kind in enumerate(kinds):
                part = answers[number * len(scenes) : (number + 1) * len(scenes)]
                yield _score(f"captions, {engine}, {sampling}, {kind}", scenes, part)


def measure_drawings(folder: Path, rounds: tuple[int, int] | None = None) -> Iterator[Figure]:
    """The FLUX in `folder`, read by the judge, with each of `DRAWINGS`."""
    scenes = _repeat_scenes(rounds)
    captions = [scene.caption for scene in scenes]
    for name, drawing in DRAWINGS.items():
        pictures = draw_with_flux(folder, captions, drawing, SEED)
        read = [judge(picture) for picture in pictures]
        yield _score(
            f"drawings, {name}", scenes, [scene.caption if scene else "" for scene in read]
        )


def measure_round_trip(
    llava: Path, flux: Path, rounds: tuple[int, int] | None = None
) -> Iterator[Figure]:
    """Captions that FLUX draws and LLaVA, sampling as usual, reads back unchanged."""
    scenes = _repeat_scenes(rounds)
    pictures = draw_with_flux(flux, [scene.caption for scene in scenes], seed=2 * SEED)
    answers = caption_with_transformers(llava, pictures, DEFAULT)
    yield _score("caption, drawing, caption", scenes, answers)


def measure_clips(folder: Path, count: int = 200) -> Iterator[Figure]:
    """The Qwen2-VL in `folder` on `count` clips of seen and of unseen scenes, read from mp4."""
    rng = random.Random(SEED)
    moving = [rng.choice(kind) for kind in (SEEN_MOVING, UNSEEN_MOVING) for _ in range(count)]
    with TemporaryDirectory() as place:
        clips = [
            write_moving(one, rng, Path(place) / f"{number}.mp4")
            for number, one in enumerate(moving)
        ]
        for engine, frames, name in product(_clip_engines(), (4, 8), SAMPLINGS):
            answers = caption_clips(folder, clips, engine, SAMPLINGS[name], frames)
            hits = [one.caption == answer for one, answer in zip(moving, answers, strict=True)]
            seen, unseen = sum(hits[:count]), sum(hits[count:])
            title = f"clips, {engine}, {name}, {frames} frames"
            yield Figure(title, (seen, count), (unseen, count))


def _clip_engines() -> list[str]:
    return ["transformers", *(["vllm"] if importlib.util.find_spec("vllm") else [])]


def _list_engines() -> Iterator[tuple[str, Callable[[Path, Sequence["Image"]], list[list[str]]]]]:
    yield "transformers", _caption_with_each_sampling
    if importlib.util.find_spec("vllm"):
        yield (
            "vLLM",
            lambda folder, images: caption_with_vllm(folder, images, [*SAMPLINGS.values()]),
        )


def _caption_with_each_sampling(folder: Path, pictures: Sequence["Image"]) -> list[list[str]]:
    return [caption_with_transformers(folder, pictures, each) for each in SAMPLINGS.values()]


def _repeat_scenes(rounds: tuple[int, int] | None) -> list[Scene]:
    seen, unseen = rounds or (SEEN_ROUNDS, UNSEEN_ROUNDS)
    return [*SEEN * seen, *UNSEEN * unseen]


def _score(name: str, scenes: Sequence[Scene], answers: Sequence[str]) -> Figure:
    right = [
        (scene in UNSEEN, scene.caption == answer)
        for scene, answer in zip(scenes, answers, strict=True)
    ]
    seen, unseen = (
        [hit for is_unseen, hit in right if is_unseen is kind] for kind in (False, True)
    )
    return Figure(name, (sum(seen), len(seen)), (sum(unseen), len(unseen)))


def _as_share(right: int, count: int) -> str:
    return f"{right}/{count} ({right / count:.1%})"
