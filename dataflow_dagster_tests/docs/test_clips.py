"""The page on clips: its pipelines are run on tiny checkpoints of the models they name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import pytest
import torch
import yaml
from PIL import Image

from dataflow_dagster.scenes.__main__ import main
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.docs.reading import DOCS, ROOT, blocks
from dataflow_dagster_tests.engines.checkpoints.video import cogvideox, cogvideox_i2v
from dataflow_dagster_tests.engines.checkpoints.vision_language import qwen2_vl
from dataflow_dagster_tests.media.clips_made import write_video
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import read_rows, write_rows
from dataflow_dagster_tests.toys.runs import materialize

PAGE = DOCS / "clips.md"
CAPTION, KNOWN, MAKE, MOVE = blocks(PAGE, "yaml")
CLIP = {"height": 64, "width": 64, "num_frames": 9, "num_inference_steps": 2}

Small = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """What stands in each model's place."""
    require("torchvision", "transformers needs torchvision for clips")
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    words = {"backend": "transformers", "max_tokens": 4, "max_model_len": 2048}
    return {
        "QwenVLCaptioner": {"model_path": qwen2_vl(folder / "qwen2_vl"), **words},
        "CogVideoXT2VGenerator": {"model_path": cogvideox(folder / "texts"), **CLIP},
        "CogVideoXGenerator": {"model_path": cogvideox_i2v(folder / "pictures"), **CLIP},
    }


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAFLOW_GPUS", "0")
    return tmp_path


def run(place: Path, block: str, small: Small) -> list[dict[str, Any]]:
    document = yaml.safe_load(block)
    for step in document["steps"]:
        step["config"] = {**step.get("config", {}), **small[step["name"]]}
    (place / "clips.yaml").write_text(yaml.safe_dump(document))
    of = load_pipeline(place / "clips.yaml")
    assert not of.warnings
    assert materialize(of).success
    rows = read_rows(place / of.save_folder / "result.jsonl")
    assert [row for row in rows if "dataflow_error" in row] == []
    return rows


@pytest.mark.slow
def test_clips_get_captions_and_tell_which_frames_were_seen(place: Path, small: Small) -> None:
    write_video(place / "clips/1.mp4", 30)
    part = {"video": "clips/1.mp4", "start": 0.2, "end": 0.6}
    write_rows(place / "clips.jsonl", [{"video": "clips/1.mp4"}, part])
    rows = run(place, CAPTION, small)
    assert [row.keys() - part.keys() for row in rows] == [{"text"}] * 2
    shown = json.loads(blocks(PAGE, "json")[0])
    kept = read_rows(place / "work/clips/step_1_VideoCaptioner_QwenVLCaptioner/result.jsonl")
    whole, cut = (row["dataflow_video_captions"] for row in kept)
    assert shown.keys() <= whole.keys()
    same = ("frames", "frame_width", "frame_height", "duration_s")
    assert {key: whole[key] for key in same} == {key: shown[key] for key in same}
    assert whole["frame_times"][:3] == shown["frame_times"]
    assert 0.2 <= min(cut["frame_times"]) < max(cut["frame_times"]) <= 0.6


@pytest.mark.slow
def test_moving_scenes_are_told_as_they_are(place: Path) -> None:
    require("torchvision", "transformers needs torchvision for clips")
    (command,) = (block for block in blocks(PAGE, "bash") if ".scenes clips" in block)
    main(command.split()[3:])
    (place / "data").symlink_to(ROOT / "data")
    known: Small = {"QwenVLCaptioner": {"backend": "transformers", "temperature": 0}}
    rows = run(place, KNOWN, known)
    assert sum(row["text"] == row["truth"] for row in rows) >= len(rows) - 1


@pytest.mark.full
@pytest.mark.slow
def test_texts_become_clips_of_the_name_that_is_told(place: Path, small: Small) -> None:
    rows = [{"id": "lighthouse"}, {"video": "films/a.gif"}, {"video": "b.webm"}, {"video": "c.avi"}]
    write_rows(place / "prompts.jsonl", [{**row, "prompt": "a lighthouse"} for row in rows])
    made = [row["video"] for row in run(place, MAKE, small)]
    assert made == [
        f"generated_videos/{name}"
        for name in ("lighthouse_generated.mp4", "films/a_generated.gif", "b_generated.webm")
    ] + ["generated_videos/c_generated.mp4"]
    assert "results/made/" + made[0] in PAGE.read_text(encoding="utf-8")
    for name, codec in zip(made, ("h264", "gif", "vp9", "h264"), strict=True):
        with av.open(str(place / "results/made" / name)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.height, stream.width) == (codec, 64, 64)
            assert len(list(container.decode(stream))) == 9


@pytest.mark.slow
def test_pictures_are_moved_and_what_happens_is_told(place: Path, small: Small) -> None:
    (place / "photos").mkdir()
    Image.new("RGB", (96, 64), "red").save(place / "photos/1.jpg")
    write_rows(place / "photos.jsonl", [{"image": "photos/1.jpg", "text": "it turns its head"}])
    (row,) = run(place, MOVE, small)
    assert (row["image"], row["text"]) == ("photos/1.jpg", row["caption"])
    assert (place / "results/moved" / row["video"]).suffix == ".mp4"
