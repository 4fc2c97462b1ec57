from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the scene models run in torch")
pytest.importorskip("diffusers", reason="the scenes FLUX runs in diffusers")

import torch
from diffusers import FluxPipeline

from dataflow_dagster.scenes.drawing import SCENES
from dataflow_dagster.scenes.flux import build_pipeline
from dataflow_dagster.scenes.train_vae import build_vae

SHIPPED = Path(__file__).parents[2] / "data/models/scenes_flux"


@pytest.fixture(scope="module")
def built() -> FluxPipeline:
    return build_pipeline(build_vae())


def test_every_word_of_a_caption_is_one_token(built: FluxPipeline) -> None:
    for scene in SCENES:
        assert len(built.tokenizer(scene.caption).input_ids) == 9
        assert len(built.tokenizer_2(scene.caption).input_ids) == 8


def test_two_builds_have_the_same_tokenizers(built: FluxPipeline, tmp_path: Path) -> None:
    other = build_pipeline(build_vae())
    for name, tokenizer in (
        ("clip", built.tokenizer),
        ("clip_again", other.tokenizer),
        ("t5", built.tokenizer_2),
        ("t5_again", other.tokenizer_2),
    ):
        tokenizer.save_pretrained(tmp_path / name)
    for name in ("clip", "t5"):
        first, second = (tmp_path / each / "tokenizer.json" for each in (name, f"{name}_again"))
        assert first.read_bytes() == second.read_bytes()


def test_the_shipped_pipeline_is_built_as_the_code_says(built: FluxPipeline) -> None:
    shipped = FluxPipeline.from_pretrained(SHIPPED, dtype=torch.float32)
    for name, model in built.components.items():
        if isinstance(model, torch.nn.Module):
            theirs = getattr(shipped, name).state_dict()
            assert {key: w.shape for key, w in theirs.items()} == {
                key: w.shape for key, w in model.state_dict().items()
            }
    for scene in SCENES:
        assert shipped.tokenizer(scene.caption) == built.tokenizer(scene.caption)
        assert shipped.tokenizer_2(scene.caption) == built.tokenizer_2(scene.caption)
