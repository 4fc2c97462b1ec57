"""What a pipeline's call takes, and what it makes of a text: told before and beside the answers."""

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

from dataflow_dagster.engines.errors import UnfitSettingError


def quiet_libraries() -> None:
    """No bars of loading weights."""
    from diffusers.utils.logging import disable_progress_bar as hide_bars_of_diffusers
    from transformers.utils.logging import disable_progress_bar as hide_bars_of_transformers

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns after every fork
    hide_bars_of_diffusers()
    hide_bars_of_transformers()


@contextmanager
def without_a_word_on_torchvision() -> Generator[None]:
    """Diffusers imports processors of pictures that no drawing of a text uses.

    Without torchvision transformers 5 warns that Pillow would do their work.
    """
    logger = logging.getLogger("transformers.utils.import_utils")

    def is_of_use(record: logging.LogRecord) -> bool:
        return "requires torchvision" not in record.getMessage()

    logger.addFilter(is_of_use)
    try:
        yield
    finally:
        logger.removeFilter(is_of_use)


def quiet_pipeline(pipeline: Any) -> None:
    """A prompt that is cut is told on its row; the libraries would log all that was cut off."""
    pipeline.set_progress_bar_config(disable=True)
    for name in (type(pipeline).__module__, "transformers.tokenization_utils_base"):
        logging.getLogger(name).setLevel(logging.ERROR)


def taken_by(pipeline: Any) -> Mapping[str, Any]:
    """The parameters of the pipeline's call."""
    return signature(type(pipeline).__call__).parameters


def check_call(pipeline: Any, call: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    """Tell what the pipeline would refuse, or ignore.

    Raises:
        UnfitSettingError: Its call lacks a parameter that is needed, or a setting of `call`.
    """
    taken = taken_by(pipeline)
    for name in needed:
        if name not in taken:
            raise UnfitSettingError(
                "model_path", type(pipeline).__name__, f"its call takes no '{name}'"
            )
    for setting, value in call.items():
        if setting not in taken:
            allowed = f"{type(pipeline).__name__} takes no such setting"
            raise UnfitSettingError(setting, value, f"{allowed}; leave it out")
    if "negative_prompt" in call and "true_cfg_scale" in taken:
        scale = call.get("true_cfg_scale", taken["true_cfg_scale"].default)
        if scale <= 1:
            allowed = f"{type(pipeline).__name__} heeds it only with true_cfg_scale above 1"
            raise UnfitSettingError("negative_prompt", call["negative_prompt"], allowed)


def prompt_details(pipeline: Any, prompt: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """How many tokens a text has, and whether it is cut; empty where nothing counts them."""
    tokenizer = _counting_tokenizer(pipeline)
    if tokenizer is None:
        return {}
    tokens = len(tokenizer(prompt).input_ids)
    room = call.get("max_sequence_length") or _own_length(pipeline)
    return {"prompt_tokens": tokens, "prompt_truncated": tokens > room}


def _own_length(pipeline: Any) -> int:
    """Tokens that the pipeline cuts a text to where it is not told."""
    taken = taken_by(pipeline)
    if "max_sequence_length" in taken:
        return taken["max_sequence_length"].default
    return _counting_tokenizer(pipeline).model_max_length


def _counting_tokenizer(pipeline: Any) -> Any:
    """That of the encoder which reads the whole prompt: the last of several, if there is any."""
    names = ("tokenizer_3", "tokenizer_2", "tokenizer")
    found = (getattr(pipeline, name, None) for name in names)
    return next((tokenizer for tokenizer in found if tokenizer is not None), None)
