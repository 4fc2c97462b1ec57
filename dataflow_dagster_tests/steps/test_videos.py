"""Clips through whole pipelines: read, made, chained, mixed with pictures, and broken."""

from pathlib import Path
from typing import Any

import av
import pytest
import torch
from PIL import Image

from dataflow_dagster_tests.engines.checkpoints import video, vision_language
from dataflow_dagster_tests.media.clips_made import write_sound, write_video
from dataflow_dagster_tests.steps.driving import Ground, draw

pytest.importorskip("torchvision", reason="transformers needs torchvision for clips")
SMALL = {"height": 64, "width": 64, "num_inference_steps": 2, "num_frames": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def caption(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    config = {
        "model_path": vision_language.llava_onevision(folder / "onevision"),
        "backend": "transformers",
        "device": "cpu",
        "num_frames": 4,
        "max_tokens": 8,
        "temperature": 0,
    }
    return {"type": "VideoCaptioner", "name": "LLaVAOVCaptioner", "config": config}


@pytest.fixture(scope="module")
def move(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    config = {"model_path": video.ltx_i2v(folder / "ltx_i2v"), **SMALL}
    return {"type": "VideoGenerator", "name": "DiffusersI2VGenerator", "config": config}


@pytest.fixture(scope="module")
def film(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    config = {"model_path": video.ltx(folder / "ltx"), **SMALL}
    return {"type": "VideoGenerator", "name": "DiffusersVideoGenerator", "config": config}


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def picture(path: Path, colour: str) -> str:
    image = Image.new("RGB", (64, 64), colour)
    image.paste("white", (0, 0, 20, 20))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path.name


def test_pictures_become_clips_and_clips_captions(
    ground: Ground, move: dict[str, Any], caption: dict[str, Any]
) -> None:
    picture(ground.source / "a.jpg", "red")
    picture(ground.source / "a.png", "blue")
    ground.rows(
        {"id": "1", "image": "a.jpg", "text": "it moves", "start": 99},
        {"id": "2", "image": "a.png"},
        {"id": "3", "text": "no picture"},
    )
    outcome = ground.run(move, caption)
    first, second, third = outcome.rows()
    assert first["video"] == "generated_videos/a_generated.mp4"
    assert second["video"].startswith("generated_videos/a_")
    assert second["video"] != first["video"]
    assert (first["dataflow_source_text"], second["text"] != "") == ("it moves", True)
    assert "video" not in third
    assert (third["text"], third["id"]) == ("no picture", "3")
    assert outcome.tally("video_captions").skipped == 1
    made = [row["dataflow_generated_videos"] for row in outcome.rows("video_captions")[:2]]
    for row, answer in zip((first, second), made, strict=True):
        with av.open(str(ground.folder / "out" / row["video"])) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 64, 64)
            assert sum(1 for _ in container.decode(stream)) == answer["frames"] == 5
        assert answer["frames_asked"] == 8
    told = outcome.rows("video_captions")[0]["dataflow_video_captions"]
    assert (told["frames"], told["frame_times"][0]) == (4, 0.0)
    again = ground.run(move, caption)
    assert again.tally("generated_videos").reused == again.tally("video_captions").reused == 2
    assert again.rows() == outcome.rows()


def test_a_new_text_moves_the_picture_anew(ground: Ground, move: dict[str, Any]) -> None:
    picture(ground.source / "a.png", "red")
    picture(ground.source / "b.png", "blue")
    rows = [{"id": name, "image": f"{name}.png", "text": "it moves"} for name in "ab"]
    ground.rows(*rows)
    ground.run(move)
    ground.rows({**rows[0], "text": "it stands"}, rows[1])
    tally = ground.run(move).tally("generated_videos")
    assert (tally.computed, tally.reused) == (1, 1)


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif", ".avi"])
def test_a_new_clip_is_written_as_the_rows_own_is(
    ending: str, ground: Ground, film: dict[str, Any]
) -> None:
    ground.rows({"id": "1", "video": f"films/old{ending}", "text": "a red circle"})
    (row,) = ground.run({**film, "config": {**film["config"], "fps": 5}}).rows()
    written = ".mp4" if ending == ".avi" else ending
    assert row["video"] == f"generated_videos/films/old_generated{written}"
    assert row["dataflow_source_video"] == f"films/old{ending}"
    with av.open(str(ground.folder / "out" / row["video"])) as container:
        assert float(container.streams.video[0].average_rate or 0) == 5
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_several_clips_of_a_row_are_rows_of_their_own(ground: Ground, film: dict[str, Any]) -> None:
    ground.rows({"id": "1", "text": "a red circle"})
    one = {**film, "config": {**film["config"], "num_videos_per_prompt": 2}}
    rows = ground.run(one).rows()
    assert [row["video"] for row in rows] == [
        f"generated_videos/1_generated_{k}.mp4" for k in (0, 1)
    ]
    contents = {(ground.folder / "out" / row["video"]).read_bytes() for row in rows}
    assert len(contents) == 2


def test_a_part_of_a_clip_has_a_key_of_its_own(ground: Ground, caption: dict[str, Any]) -> None:
    write_video(ground.source / "a.mp4")
    rows = [{"video": "a.mp4", "start": at, "end": at + 1} for at in range(3)]
    ground.rows(*rows)
    outcome = ground.run(caption)
    seen = [row["dataflow_video_captions"]["frame_times"] for row in outcome.rows("video_captions")]
    assert [(times[0], times[-1]) for times in seen] == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
    ground.rows(rows[0], {**rows[1], "end": 1.5}, rows[2])
    tally = ground.run(caption).tally("video_captions")
    assert (tally.computed, tally.reused) == (1, 2)


def test_bad_clips_cost_one_row_each(ground: Ground, caption: dict[str, Any]) -> None:
    good = write_video(ground.source / "good.mp4").read_bytes()
    (ground.source / "empty.mp4").write_bytes(b"")
    (ground.source / "junk.mp4").write_bytes(b"junk" * 999)
    (ground.source / "cut.mp4").write_bytes(good[: len(good) // 2])
    write_sound(ground.source / "sound.mp4")
    draw(ground.source / "picture.png")
    names = ["good", "empty", "junk", "cut", "sound", "missing", "good"]
    rows = [{"id": str(at), "video": f"{name}.mp4"} for at, name in enumerate(names)]
    ground.rows(*rows, {"id": "p", "image": "picture.png"})
    outcome = ground.run(caption)
    assert outcome.kinds("video_captions") == [
        None,
        "empty_file",
        "corrupt_video",
        "corrupt_video",
        "no_video",
        "missing_file",
        None,
        None,
    ]
    texts = [row.get("text") for row in outcome.rows()]
    assert texts[0] == texts[6] is not None
    assert texts[7] is None
    assert len(outcome.errors()) == 5
