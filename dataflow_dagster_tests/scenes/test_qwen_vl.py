from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the scene models run in transformers and diffusers")
pytest.importorskip("torchvision", reason="transformers needs torchvision for clips")

from transformers import AutoModelForImageTextToText, AutoProcessor

from dataflow_dagster.scenes.moving import MOVING
from dataflow_dagster.scenes.qwen_vl import END, QUESTION, build_model, build_processor, save

SHIPPED = Path(__file__).parents[2] / "data/models/scenes_qwen_vl"


def test_every_caption_has_as_many_tokens() -> None:
    tokenizer = build_processor().tokenizer
    lengths = {len(tokenizer(f"{moving.caption}{END}").input_ids) for moving in MOVING}
    assert lengths == {10}


def test_the_shipped_tokenizer_and_template_are_those_that_the_code_builds() -> None:
    shipped, built = AutoProcessor.from_pretrained(SHIPPED), build_processor()
    assert shipped.tokenizer.get_vocab() == built.tokenizer.get_vocab()
    assert shipped.tokenizer(QUESTION).input_ids == built.tokenizer(QUESTION).input_ids
    assert shipped.chat_template == built.chat_template
    assert shipped.video_processor.size == built.video_processor.size


@pytest.mark.parametrize("shipped", [True, False])
def test_a_saved_checkpoint_loads_whole(shipped: bool, tmp_path: Path) -> None:
    processor = build_processor()
    if not shipped:
        save(build_model(processor), processor, tmp_path)
    folder = SHIPPED if shipped else tmp_path
    _, loading = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values())


def test_the_shipped_checkpoint_is_small() -> None:
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 3_500_000
