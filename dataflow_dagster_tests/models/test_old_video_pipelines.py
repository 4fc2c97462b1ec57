"""Pipelines of Dataflow-Gen that read or make clips, as its users have them: not a key changed.

The models they name are tiny here: folders of the same names, where they are run from.
"""

import json
from pathlib import Path

import av
import pytest
from PIL import Image

from dataflow_dagster.engines import choice
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.media.clips_made import write_video
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.steps.driving import Outcome, run

CAPTION = """\
meta_path: meta.json
meta_folder: videos
base_folder: intermediate_results
save_folder: results
image_key: image
text_key: caption
video_key: video
steps:
  - type: VideoCaptioner
    name: {name}
    config:
      model_path: {model}
      trust_remote_code: True
      tensor_parallel_size: 1
      max_model_len: 2048
      max_num_seqs: 128
      temperature: 0.6
      top_p: 0.9
      top_k: 50
      repetition_penalty: 1.2
      prompt: Please describe the video in detail.
      num_frames: {frames}
      batch_size: 4
"""
CAPTIONERS = [
    ("QwenVLCaptioner", "Qwen/Qwen2-VL-7B-Instruct", 64, "qwen2_vl"),
    ("Qwen2VLCaptioner", "Qwen/Qwen2-VL-7B-Instruct", 16, "qwen2_vl"),
    ("LLaVAOVCaptioner", "llava-hf/llava-onevision-qwen2-7b-ov-hf", 16, "llava_onevision"),
    ("LlavaNextVideoCaptioner", "llava-hf/LLaVA-NeXT-Video-7B-hf", 32, "llava_next_video"),
]
MAKE = """\
meta_path: meta.json
meta_folder: images
save_folder: results
image_key: image
text_key: text
steps:
  - type: VideoGenerator
    name: {name}
    config:
      model_path: {model}
      num_frames: 8
      num_inference_steps: 2
      num_videos_per_prompt: 1
"""
SQUARE = "      height: 64\n      weight: 64\n"
GUIDED = "      guidance_scale: 6\n"
SAYS_NOT = "      negative_prompt: bad quality, worse quality\n"
GENERATORS = [
    ("CogVideoXGenerator", "THUDM/CogVideoX-5b-I2V", GUIDED + SQUARE, "cogvideox_i2v"),
    ("CogVideoXT2VGenerator", "THUDM/CogVideoX-2b", GUIDED, "cogvideox"),
    ("AllegroGenerator", "rhymes-ai/Allegro", "      subfolder: vae\n", "allegro"),
    ("AnimateDiffGenerator", "emilianJR/epiCRealism", SAYS_NOT, "stable_diffusion"),
    ("I2VGenXLGenerator", "ali-vilab/i2vgen-xl", SAYS_NOT + SQUARE, "i2vgen_xl"),
    ("ModelScopeT2VGenerator", "damo-vilab/text-to-video-ms-1.7b", "", "modelscope"),
    (
        "SVDGenerator",
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "      variant: fp16\n      decode_chunk_size: 8\n      cpu_offload: False\n" + SQUARE,
        "svd",
    ),
]
ADAPTER = "guoyww/animatediff-motion-adapter-v1-5-2"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, of a user without a GPU and vLLM."""
    found = choice.installed_version
    monkeypatch.setattr(
        choice, "installed_version", lambda name: None if name == "vllm" else found(name)
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, folder: str) -> None:
    """The tiny model, under the name of the real one."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(folder, target_is_directory=True)


def run_text(text: str) -> Outcome:
    Path("old.yaml").write_text(text)
    return run(load_pipeline(Path("old.yaml")))


@pytest.mark.parametrize(("name", "model", "frames", "built"), CAPTIONERS, ids=str)
def test_an_old_pipeline_captions_clips_where_and_as_it_did(
    name: str, model: str, frames: int, built: str, checkpoint: Checkpoint, place: Path
) -> None:
    require("torchvision", "transformers needs torchvision for clips")
    put(model, checkpoint(built))
    write_video(place / "videos/cats/one.mp4", 40)
    Image.new("RGB", (64, 64), "red").save(place / "videos/picture.png")
    rows = [
        {"video": "cats/one.mp4", "caption": "", "source": "mine"},
        {"image": "picture.png", "caption": "a picture"},
    ]
    Path("meta.json").write_text(json.dumps(rows))
    outcome = run_text(CAPTION.format(name=name, model=model, frames=frames))
    folder = Path(f"intermediate_results/step_1_VideoCaptioner_{name}")
    assert (folder / "result.jsonl").is_file()
    assert Path("intermediate_results/step_0_preprocess_format/result.jsonl").is_file()
    clip, picture = map(json.loads, Path("results/result.jsonl").read_text().splitlines())
    assert clip.keys() == {"video", "caption", "source", "dataflow_source_caption"}
    assert (clip["video"], clip["source"]) == ("cats/one.mp4", "mine")
    assert clip["caption"]
    assert picture["caption"] == "a picture"
    told = outcome.rows("video_captions")[0]["dataflow_video_captions"]
    assert told["frames"] == min(frames, 40)
    assert outcome.tally("video_captions").skipped == 1


@pytest.mark.parametrize(("name", "model", "keys", "built"), GENERATORS, ids=lambda v: str(v)[:22])
def test_an_old_pipeline_makes_clips_where_and_as_it_did(
    name: str, model: str, keys: str, built: str, checkpoint: Checkpoint, place: Path
) -> None:
    put(model, checkpoint(built))
    if name == "AnimateDiffGenerator":
        put(ADAPTER, checkpoint("motion_adapter"))
    (place / "images/cats").mkdir(parents=True)
    image = Image.new("RGB", (96, 64), "red")
    image.paste("white", (0, 0, 40, 20))
    image.save(place / "images/cats/one.jpg")
    Path("meta.json").write_text(json.dumps([{"image": "cats/one.jpg", "text": "a red circle"}]))
    outcome = run_text(MAKE.format(name=name, model=model) + keys)
    assert outcome.errors() == []
    said = " ".join(str(warning) for warning in outcome.pipeline.warnings)
    assert ("num_videos_per_prompt" in said, "weight" in said) == (True, SQUARE in keys)
    (row,) = map(json.loads, Path("results/result.jsonl").read_text().splitlines())
    assert row["video"] == "generated_videos/cats/one_generated.mp4"
    made = Path(f"intermediate_results/step_1_VideoGenerator_{name}") / row["video"]
    assert made.read_bytes() == Path("results", row["video"]).read_bytes()
    (answer,) = [row["dataflow_generated_videos"] for row in outcome.rows("generated_videos")]
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (answer["width"], answer["height"]) == (64, 64)
        assert float(stream.average_rate or 0) == answer["fps"]
        assert sum(1 for _ in container.decode(stream)) == answer["frames"]
