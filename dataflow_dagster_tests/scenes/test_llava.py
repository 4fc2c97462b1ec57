from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the scene models run in transformers and diffusers")

from transformers import AutoModelForImageTextToText, AutoProcessor

from dataflow_dagster.scenes.answering import PROMPT
from dataflow_dagster.scenes.drawing import SCENES
from dataflow_dagster.scenes.llava import BOS_ID, EOS, build_model, build_processor, save

DATA = Path(__file__).parents[2] / "data"
SHIPPED = DATA / "models/scenes_llava"


def test_every_word_of_prompt_and_answers_is_one_token() -> None:
    tokenizer = build_processor().tokenizer
    assert len(tokenizer(PROMPT).input_ids) == 17
    for scene in SCENES:
        assert len(tokenizer(f" {scene.caption}{EOS}", add_special_tokens=False).input_ids) == 8


def test_two_builds_have_the_same_tokenizer(tmp_path: Path) -> None:
    for name in ("first", "second"):
        build_processor().save_pretrained(tmp_path / name)
    first, second = ((tmp_path / name / "tokenizer.json") for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_the_shipped_tokenizer_is_the_one_that_the_code_builds() -> None:
    shipped = AutoProcessor.from_pretrained(SHIPPED).tokenizer
    built = build_processor().tokenizer
    assert shipped(PROMPT).input_ids == built(PROMPT).input_ids
    assert shipped.get_vocab() == built.get_vocab()


def test_the_chat_template_spells_the_prompt_with_its_bos() -> None:
    processor = AutoProcessor.from_pretrained(SHIPPED)
    question = {"type": "text", "text": "What is the content of this image?"}
    messages = [{"role": "user", "content": [{"type": "image"}, question]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    assert text == f"<s>{PROMPT}"
    assert processor.tokenizer(PROMPT).input_ids[0] == BOS_ID


@pytest.mark.parametrize("shipped", [True, False])
def test_a_saved_checkpoint_loads_whole(shipped: bool, tmp_path: Path) -> None:
    processor = build_processor()
    if not shipped:
        save(build_model(processor), processor, tmp_path)
    folder = SHIPPED if shipped else tmp_path
    _, loading = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not any(loading.values())


def test_vision_weights_have_the_names_that_vllm_reads() -> None:
    from safetensors import safe_open

    with safe_open(SHIPPED / "model.safetensors", "pt") as weights:
        vision = [name for name in weights.keys() if "vision_tower" in name]  # noqa: SIM118 - not a dict
    assert vision
    assert all(name.startswith("vision_tower.vision_model.") for name in vision)
