from typing import Any

import pytest
import transformers

from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster.engines.transformers.processor import (
    check_beforehand,
    check_medium_kwargs,
    load_processor,
)
from dataflow_dagster_tests.engines.requests import GREEDY, LLAVA, PROMPT, language

LENGTH = 32
"""Tokens of PROMPT, 16 of the picture included."""


@pytest.fixture(scope="module")
def processor() -> Any:
    return load_processor(LLAVA, trust_remote_code=False)


def test_pictures_are_processed_without_torchvision(processor: Any) -> None:
    assert type(processor.image_processor).__name__.endswith("Pil")


def test_what_the_processor_takes_passes(processor: Any) -> None:
    check_medium_kwargs(processor, "image", {"do_normalize": False, "size": {"shortest_edge": 32}})


def test_what_the_processor_would_ignore_is_refused_with_what_it_takes(processor: Any) -> None:
    with pytest.raises(UnfitSettingError, match=r"'num_crops'.*CLIPImageProcessorPil takes.*size"):
        check_medium_kwargs(processor, "image", {"num_crops": 4})


def test_a_limit_that_prompt_and_picture_fill_is_refused_with_what_to_write() -> None:
    wanted = LENGTH + GREEDY.max_tokens
    with pytest.raises(UnfitSettingError, match=f"alone are {LENGTH} tokens.*write {wanted}"):
        check_beforehand(language(max_model_len=LENGTH), PROMPT)


def test_a_limit_that_leaves_room_for_a_token_passes() -> None:
    check_beforehand(language(max_model_len=LENGTH + 1), PROMPT)


def test_a_prompt_longer_than_the_model_itself_is_told_before_it_is_loaded() -> None:
    long = PROMPT.replace("image?", "image? " * 3000)
    with pytest.raises(UnfitSettingError, match=r"'prompt'.*picture are \d+ tokens.*takes 4096 in"):
        check_beforehand(language(), long)


def test_without_a_limit_a_prompt_that_the_model_has_room_for_passes() -> None:
    check_beforehand(language(), PROMPT)


def test_without_a_limit_nothing_is_loaded() -> None:
    check_beforehand(language(model_path="no/such-model"), PROMPT)


def test_a_missing_library_is_told_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("Qwen2VLVideoProcessor requires the Torchvision library")

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", refuse)
    with pytest.raises(EngineMissingError, match=r"scenes_llava: .* requires the Torchvision"):
        load_processor(LLAVA, trust_remote_code=False)
