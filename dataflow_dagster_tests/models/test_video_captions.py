"""Each video captioner on a tiny checkpoint of its architecture, through both engines."""

import random
from pathlib import Path

import numpy as np
import pytest

from dataflow_dagster import registry
from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import RowError
from dataflow_dagster.scenes.drawing import SEEN, draw
from dataflow_dagster_tests.engines.requests import answer_once
from dataflow_dagster_tests.media.clips_made import write_video
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.models.models_table import ModelRow
from dataflow_dagster_tests.models.video_table import CAPTIONERS

EIGHT = range(8)
every_captioner = pytest.mark.parametrize("row", CAPTIONERS, ids=lambda row: row.name)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Eight clips of unlike content, length, size and proportions."""
    folder = tmp_path_factory.mktemp("clips")

    def write(number: int) -> str:
        size = (64 + 16 * (number % 3), 64 + 24 * (number % 2))

        def scene(frame: int) -> np.ndarray:
            shown = SEEN[(7 * number + frame // 5) % len(SEEN)]
            return np.asarray(draw(shown, random.Random(number)).resize(size))

        return str(write_video(folder / f"{number}.mp4", 30 + 5 * number, size=size, draw=scene))

    return [write(number) for number in EIGHT]


def opened(row: ModelRow, model_path: str, **config: object) -> Model:
    greedy = {"temperature": 0, "repetition_penalty": 1, "max_tokens": 16, "max_model_len": 2048}
    given = {"model_path": model_path, "device": "cpu", "batch_size": 3, "num_frames": 12}
    return registry.find(row.step_type, row.name).model_validate({**given, **greedy, **config})


def captions(model: Model, clips: list[str]) -> dict[int, Answer | RowError]:
    requests = [model.request(Given(at, at, video=path)) for at, path in enumerate(clips)]
    return answer_once(model.open(model.engine()), requests)


def texts(answered: dict[int, Answer | RowError]) -> list[str | None]:
    return [given.text for _, given in sorted(answered.items()) if isinstance(given, Answer)]


@every_captioner
def test_eight_clips_get_eight_answers_each_its_own(
    row: ModelRow, checkpoint: Checkpoint, clips: list[str]
) -> None:
    model = opened(row, checkpoint(row.checkpoint), backend="transformers")
    answered = captions(model, clips)
    forward = texts(answered)
    assert len(set(forward)) == len(EIGHT)
    assert texts(captions(model, clips[::-1])) == forward[::-1]
    first = answered[0]
    assert isinstance(first, Answer)
    assert first.details["frames"] == len(first.details["frame_times"]) == 12
    assert (first.details["frame_width"], first.details["duration_s"]) == (64, 1.2)


@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
@every_captioner
def test_vllm_and_transformers_give_the_same_tokens_for_the_same_frames(
    row: ModelRow, checkpoint: Checkpoint, clips: list[str]
) -> None:
    path = checkpoint(row.checkpoint)
    vllm, transformers = (
        captions(opened(row, path, backend=name), clips) for name in ("vllm", "transformers")
    )
    assert len(set(texts(transformers))) == len(EIGHT)
    assert vllm == transformers


def test_clips_of_unlike_numbers_of_frames_share_a_batch(
    checkpoint: Checkpoint, clips: list[str], tmp_path: Path
) -> None:
    (row,) = [row for row in CAPTIONERS if row.name == "LLaVAOVCaptioner"]
    short = str(write_video(tmp_path / "short.mp4", 3))
    model = opened(row, checkpoint(row.checkpoint), backend="transformers")
    together = texts(captions(model, [clips[0], short, clips[1]]))
    assert together[1:2] == texts(captions(model, [short]))
    assert len(together) == 3


@pytest.mark.parametrize(
    ("given", "times"),
    [
        ({}, [0.0, 0.28, 0.56, 0.84, 1.16]),
        ({"start": "0.5"}, [0.48, 0.64, 0.8, 0.96, 1.16]),
        ({"start": "00:00:00.5", "end": "0:09"}, [0.48, 0.64, 0.8, 0.96, 1.16]),
        ({"start": 0.2, "end": 0.6}, [0.2, 0.28, 0.4, 0.48, 0.6]),
        ({"start": None, "end": ""}, [0.0, 0.28, 0.56, 0.84, 1.16]),
    ],
)
def test_columns_tell_which_part_is_looked_at(
    given: dict[str, object], times: list[float], clips: list[str]
) -> None:
    (row, *_) = CAPTIONERS
    model = opened(row, "a/b", num_frames=5)
    request = model.request(Given(0, 0, video=clips[0], columns=given))
    assert request.frames is not None
    assert request.frames.times == times


@pytest.mark.parametrize("value", [-1, "soon", True, float("nan"), [1], 10**400])
def test_a_part_that_is_no_number_of_seconds_costs_one_row(value: object, clips: list[str]) -> None:
    model = opened(CAPTIONERS[0], "a/b")
    with pytest.raises(RowError, match=r"'start'.*HH:MM:SS.*start_key: null") as refused:
        model.request(Given(0, 0, video=clips[0], columns={"start": value}))
    assert refused.value.kind == "bad_value"


def test_a_checkpoint_that_reads_no_clips_is_told_when_it_is_opened(
    checkpoint: Checkpoint,
) -> None:
    model = opened(CAPTIONERS[-1], checkpoint("llava"), backend="transformers")
    with pytest.raises(UnfitSettingError, match="clip"):
        model.open(model.engine())


def test_old_names_mean_the_same_models() -> None:
    for old, name in (
        ("Qwen2VLCaptioner", "QwenVLCaptioner"),
        ("LlavaNextVideoCaptioner", "LLaVANeXTVideoCaptioner"),
    ):
        assert registry.find("VideoCaptioner", old).__name__ == name
    assert registry.find("ImageCaptioner", "QwenVLCaptioner") is not registry.find(
        "VideoCaptioner", "QwenVLCaptioner"
    )
