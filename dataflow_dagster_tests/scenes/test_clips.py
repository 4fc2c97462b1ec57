"""Clips whose captions are known, and the captioner that knows them, through both engines."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="transformers needs torchvision for clips")

from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.scenes.answering import DEFAULT, GREEDY, Sampling, caption_clips
from dataflow_dagster.scenes.clips import COUNT, FRAMES, write_clips, write_moving
from dataflow_dagster.scenes.moving import MOVES, SEEN_MOVING, UNSEEN_MOVING, MovingScene
from dataflow_dagster_tests.requirements import require

QWEN_VL = Path(__file__).parents[2] / "data/models/scenes_qwen_vl"


def written(scenes: Sequence[MovingScene], folder: Path, ending: str = ".mp4") -> list[Path]:
    rng = random.Random(99)
    return [write_moving(one, rng, folder / f"{at}{ending}") for at, one in enumerate(scenes)]


def right(scenes: Sequence[MovingScene], answers: Sequence[str]) -> int:
    return sum(one.caption == said for one, said in zip(scenes, answers, strict=True))


def test_rows_name_clips_and_tell_the_truth(tmp_path: Path) -> None:
    assert write_clips(tmp_path) == COUNT
    rows = [json.loads(line) for line in (tmp_path / "clips.jsonl").read_text().splitlines()]
    assert {row["truth"] for row in rows} <= {moving.caption for moving in SEEN_MOVING}
    frames = read_frames(tmp_path / rows[-1]["video"], FrameChoice(99))
    assert frames.pixels.shape == (FRAMES, 64, 64, 3)


@pytest.mark.parametrize("sampling", [GREEDY, DEFAULT], ids=["greedy", "default"])
def test_it_tells_what_moves_and_which_way(sampling: Sampling, tmp_path: Path) -> None:
    scenes = random.Random(5).sample(SEEN_MOVING, 24)
    answers = caption_clips(QWEN_VL, written(scenes, tmp_path), "transformers", sampling)
    assert right(scenes, answers) >= 23


@pytest.mark.parametrize("ending", [".webm", ".gif"])
def test_it_tells_so_from_other_files_too(ending: str, tmp_path: Path) -> None:
    scenes = random.Random(6).sample(SEEN_MOVING, 8)
    answers = caption_clips(QWEN_VL, written(scenes, tmp_path, ending), "transformers")
    assert right(scenes, answers) >= 7


def test_scenes_it_never_saw_keep_their_colours_and_their_way(tmp_path: Path) -> None:
    scenes = random.Random(7).sample(UNSEEN_MOVING, 24)
    answers = caption_clips(QWEN_VL, written(scenes, tmp_path), "transformers")
    assert right(scenes, answers) >= 12
    ways = [f" moving {one.move} on a {one.scene.background} background" for one in scenes]
    assert sum(way in said for way, said in zip(ways, answers, strict=True)) >= 22


@pytest.mark.full
@pytest.mark.vllm
def test_vllm_tells_the_same(tmp_path: Path) -> None:
    require("vllm", "vLLM is not installed")
    scenes = [one for move in MOVES for one in SEEN_MOVING if one.move == move][::10]
    clips = written(scenes, tmp_path)
    both = [caption_clips(QWEN_VL, clips, name) for name in ("vllm", "transformers")]
    assert both[0] == both[1]
    assert right(scenes, both[0]) >= len(scenes) - 1
