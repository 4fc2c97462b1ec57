"""Keys of video models alone: each changes the frames looked at, or the clip made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataflow_dagster import registry
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.models.declaration import Given
from dataflow_dagster_tests.engines.requests import answer_once
from dataflow_dagster_tests.media.clips_made import numbers_of, write_video
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.models.test_effects import CAPTIONS, ELSEWHERE, TESTS
from dataflow_dagster_tests.models.video_table import CAPTIONERS, GENERATORS

WATCHED: dict[str, tuple[dict[str, Any], list[int]]] = {
    "num_frames": ({"num_frames": 4}, [0, 16, 32, 49]),
    "fps": ({"fps": 1}, [0, 25]),
    "start_key": ({"start_key": "from"}, [25, 37, 49]),
    "end_key": ({"end_key": "to"}, [0, 5, 10]),
    "max_pixels": ({"max_pixels": 64 * 32}, [0, 24, 49]),
}
"""Key of a captioner → a config, and the frames it looks at; without: 0, 24 and 49."""

MADE: dict[str, dict[str, Any]] = {
    "num_frames": {"num_frames": 9},
    "height": {"height": 96},
    "width": {"width": 96},
    "num_inference_steps": {"num_inference_steps": 2},
    "guidance_scale": {"guidance_scale": 1.5},
}
"""Key of a generator → a config whose clip differs from that without it."""

CLIPS = "models/test_clips.py::"
REACHES = CLIPS + "test_a_key_reaches_the_pipeline"
ELSEWHERE_TOO: dict[str, str] = {
    **dict.fromkeys(("motion_bucket_id", "noise_aug_strength", "motion_adapter"), REACHES),
    "max_sequence_length": REACHES,
    "decode_chunk_size": CLIPS + "test_so_many_frames_are_decoded_together",
    "prompt": CLIPS + "test_a_picture_without_a_text_moves_as_the_prompt_says",
    "variant": CLIPS + "test_a_variant_that_is_not_there_is_told",
    "subfolder": CLIPS + "test_allegros_vae_is_loaded_from_its_subfolder",
    "pipeline_kwargs": CLIPS + "test_a_setting_that_a_pipeline_does_not_take_is_told",
    "fps": "steps/test_videos.py::test_a_new_clip_is_written_as_the_rows_own_is",
}
"""Key of a generator → the test that shows what it does."""


@pytest.mark.parametrize("key", WATCHED)
def test_each_key_changes_which_frames_are_looked_at(key: str, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", 50)
    config, numbers = WATCHED[key]
    model = registry.find("VideoCaptioner", "VLMCaptioner").model_validate(
        {"model_path": "a/b", "num_frames": 3, **config}
    )
    columns = {"from": 1, "to": 0.4}
    frames = model.request(Given(0, 0, video=str(clip), columns=columns)).frames
    assert frames is not None
    assert numbers_of(frames.pixels) == numbers
    assert frames.pixels.shape[1:3] == ((32, 64) if key == "max_pixels" else (64, 128))


@pytest.mark.parametrize("row", CAPTIONERS, ids=lambda row: row.name)
def test_every_key_of_every_captioner_has_its_test(row: Any) -> None:
    keys = registry.find(row.step_type, row.name).model_fields
    assert not [key for key in keys if key not in {*WATCHED, *CAPTIONS, *ELSEWHERE}]


@pytest.mark.parametrize("row", GENERATORS, ids=lambda row: row.name)
def test_every_key_of_every_generator_has_its_test(row: Any) -> None:
    keys = registry.find(row.step_type, row.name).model_fields
    assert not [key for key in keys if key not in {*MADE, *ELSEWHERE_TOO, *ELSEWHERE}]


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE_TOO.values())))
def test_the_tests_named_are_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


def clip_of(checkpoint: Checkpoint, config: dict[str, Any]) -> np.ndarray:
    small = {"height": 64, "width": 64, "num_inference_steps": 1, "num_frames": 5}
    model = registry.find("VideoGenerator", "DiffusersVideoGenerator").model_validate(
        {"model_path": checkpoint("ltx"), "device": "cpu", **small, **config}
    )
    asked = [model.request(Given(0, 5, text="a red circle"))]
    (made,) = answer_once(model.open(model.engine()), asked).values()
    assert isinstance(made, Answer)
    assert made.clip is not None
    return made.clip.pixels


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint) -> np.ndarray:
    return clip_of(checkpoint, {})


@pytest.mark.parametrize("key", MADE)
def test_each_key_changes_the_clip_made(
    key: str, checkpoint: Checkpoint, plain: np.ndarray
) -> None:
    changed = clip_of(checkpoint, MADE[key])
    assert plain.shape != changed.shape or (plain != changed).any()
    frames, height, width = (
        MADE[key].get(name, usual)
        for name, usual in (("num_frames", 5), ("height", 64), ("width", 64))
    )
    assert changed.shape == (frames, height, width, 3)
