"""Each example pipeline runs as it stands, but on tiny models of the same architectures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageChops, ImageStat

from dataflow_dagster.registry import find
from dataflow_dagster.schema.loading import load_pipeline, parse_pipeline
from dataflow_dagster_tests.engines.api_server import ApiServer
from dataflow_dagster_tests.engines.checkpoints.phi3v import phi3v
from dataflow_dagster_tests.engines.checkpoints.text import llama
from dataflow_dagster_tests.models import example_pictures
from dataflow_dagster_tests.models.models_table import MODELS
from dataflow_dagster_tests.models.video_table import VIDEO_MODELS
from dataflow_dagster_tests.steps.driving import Outcome, run

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "data" / "examples"
CHECKPOINTS = {(row.step_type, row.name): row.checkpoint for row in [*MODELS, *VIDEO_MODELS]}
CLIP: dict[str, Any] = {
    "height": 64,
    "width": 64,
    "num_inference_steps": 2,
    "num_frames": 8,
    "cpu_offload": False,
}
SMALL = {"height": 64, "width": 64, "num_inference_steps": 2, "max_sequence_length": 16}
TINY: dict[str, dict[str, Any]] = {"ImageGenerator": SMALL, "VideoGenerator": CLIP}


@pytest.fixture
def example(
    tmp_path: Path, checkpoint: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Runs an example with its models tiny, and its pictures: large ones are many tokens."""
    monkeypatch.chdir(ROOT)
    for name in ("cat.jpg", "sunset.png"):
        with Image.open(EXAMPLES / name) as picture:
            picture.resize((80, 60)).save(tmp_path / name)

    def tiny(step: dict[str, Any]) -> dict[str, Any]:
        name = step["name"]
        if name == "GPTCaptioner":
            return {}
        if name == "LocalModelGenerator":
            return {"model_path": llama(tmp_path / "llama"), "max_tokens": 8}
        if name == "Phi3VCaptioner":
            small = {"max_tokens": 8, "max_model_len": 2048, "num_crops": 1}
            return {"model_path": phi3v(tmp_path / "phi3v"), **small}
        small = TINY.get(step["type"], {"max_tokens": 8})
        model = find(step["type"], name).__name__
        return {"model_path": checkpoint(CHECKPOINTS[step["type"], model]), **small}

    def run_example(name: str, **config: Any) -> Outcome:
        document = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
        document |= {"base_folder": str(tmp_path / "base"), "save_folder": str(tmp_path / "out")}
        if "meta_folder" in document:
            document["meta_folder"] = str(tmp_path)
        for step in document["steps"]:
            step["config"] = {**step.get("config", {}), **tiny(step), **config}
            if "transformers" in find(step["type"], step["name"]).engines:
                step["config"]["backend"] = "transformers"
        return run(parse_pipeline(yaml.safe_dump(document), tmp_path / f"{name}.yaml"))

    return run_example


def test_the_pictures_of_the_examples_are_those_that_are_drawn_for_them() -> None:
    with Image.open(EXAMPLES / "sunset.png") as sunset, Image.open(EXAMPLES / "cat.jpg") as cat:
        assert ImageChops.difference(sunset, example_pictures.sunset()).getbbox() is None
        unlike = ImageChops.difference(cat, example_pictures.cat()).convert("L")
        assert ImageStat.Stat(unlike).mean[0] < 4  # of 255: what JPEG changes


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_loads_without_a_warning(path: Path) -> None:
    pipeline = load_pipeline(path)
    assert not pipeline.warnings
    assert (ROOT / pipeline.meta_path).exists()
    assert pipeline.base_folder == f"intermediate_results/{path.stem}"
    assert pipeline.save_folder == f"results/{path.stem}"


def test_two_pictures_are_captioned_and_drawn(example: Callable[..., Outcome]) -> None:
    outcome = example("caption_then_draw")
    rows = outcome.rows()
    assert [row["image"] for row in rows] == [
        "generated_images/cat_generated.jpg",
        "generated_images/sunset_generated.png",
    ]
    assert [row["dataflow_source_text"] for row in rows] == ["a cat", "a sunset over the sea"]
    assert outcome.errors() == []


def test_prompts_are_drawn_twice_each(example: Callable[..., Outcome]) -> None:
    rows = example("prompts_to_pictures").rows()
    assert [row["image"] for row in rows] == [
        f"generated_images/{name}_generated_{k}.png"
        for name in ("lighthouse", "market")
        for k in (0, 1)
    ]


def test_captions_are_rewritten_and_drawn(example: Callable[..., Outcome]) -> None:
    outcome = example("rewrite_captions")
    assert outcome.errors() == []
    for row in outcome.rows():
        assert row["text"] == row["rewritten"] != row["caption"]
        assert row["image"].startswith("generated_images/")


def test_pictures_are_moved_and_the_clips_captioned(example: Callable[..., Outcome]) -> None:
    outcome = example("move_and_caption")
    assert outcome.errors() == []
    rows = outcome.rows()
    assert [row["video"] for row in rows] == [
        "generated_videos/cat_generated.mp4",
        "generated_videos/sunset_generated.mp4",
    ]
    assert all(row["caption"] == row["text"] for row in rows)


def test_captions_come_from_an_api(
    example: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with ApiServer().running() as server:
        outcome = example("caption_by_api", base_url=server.url)
    assert [row["text"] for row in outcome.rows()] == [
        "said: Describe the picture in one sentence."
    ] * 2


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
def test_seven_captioners_in_a_row_give_seven_columns(example: Callable[..., Outcome]) -> None:
    outcome = example("seven_captioners")
    columns = [step.output_key for step in outcome.pipeline.steps]
    assert len(columns) == 7
    for row in outcome.rows():
        assert all(isinstance(row[str(column)], str) for column in columns), row
    assert outcome.errors() == []
