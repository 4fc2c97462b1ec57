"""A checkpoint's processor: how it makes tokens of a prompt and a picture, told beforehand."""

from collections.abc import Mapping
from typing import Any

from dataflow_dagster.engines.checkpoint import context_length
from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster.engines.language import LanguageSettings

SMALL_SIDE = 56
"""Pixels. Models that cut pictures by their size make the fewest tokens of a small square one."""


def load_processor(model_path: str, *, trust_remote_code: bool) -> Any:
    """The checkpoint's own; it makes the same pixels whether or not torchvision is installed.

    Raises:
        EngineMissingError: A library it needs is not installed, as torchvision for Qwen2-VL.
    """
    from transformers import AutoImageProcessor, AutoProcessor
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    trust = trust_remote_code
    try:
        processor: Any = AutoProcessor.from_pretrained(model_path, trust_remote_code=trust)
        # Asked for as a whole, a processor of pictures and videos is refused: videos have no PIL.
        processor.image_processor = AutoImageProcessor.from_pretrained(
            model_path, backend="pil", trust_remote_code=trust
        )
    except ImportError as lacking:
        raise EngineMissingError(f"the processor of {model_path}: {lacking}") from lacking
    return processor


def check_images_kwargs(processor: Any, given: Mapping[str, Any]) -> None:
    """Tell what the processor of pictures would ignore.

    Raises:
        UnfitSettingError: A key of `mm_processor_kwargs` that it does not take.
    """
    kwargs: Any = getattr(processor.image_processor, "valid_kwargs", None)
    known = kwargs.__optional_keys__ | kwargs.__required_keys__ if kwargs else frozenset[str]()
    if unknown := sorted(set(given) - known):
        name = type(processor.image_processor).__name__
        allowed = f"{name} takes {', '.join(sorted(known)) or 'none'}"
        raise UnfitSettingError("mm_processor_kwargs", unknown[0], allowed)


def check_beforehand(settings: LanguageSettings, prompt: str) -> None:
    """Tell, before an engine starts, what would leave every row without its answer.

    Raises:
        UnfitSettingError: The prompt with its picture fills `max_model_len` alone, or, without
            that, all that the model's own files give it room for; or the
            processor takes no such key of `mm_processor_kwargs`.
    """
    limit = settings.max_model_len
    own = context_length(settings.model_path) if limit is None else None
    if limit is None and own is None and not settings.mm_processor_kwargs:
        return
    processor = load_processor(settings.model_path, trust_remote_code=settings.trust_remote_code)
    check_images_kwargs(processor, settings.mm_processor_kwargs)
    tokens = _count_tokens(processor, settings, prompt)
    if limit is not None and tokens >= limit:
        wanted = tokens + settings.sampling.max_tokens
        raise UnfitSettingError(
            "max_model_len",
            limit,
            f"prompt and picture alone are {tokens} tokens or more; leave it out, "
            f"or write {wanted} or more to leave room for max_tokens",
        )
    if own is not None and tokens >= own:
        begun = f"{prompt[:60]}…" if len(prompt) > 60 else prompt
        allowed = f"prompt and picture are {tokens} tokens, and the model takes {own} in all"
        raise UnfitSettingError("prompt", begun, allowed)


def _count_tokens(processor: Any, settings: LanguageSettings, prompt: str) -> int:
    """The fewest a picture with this prompt has."""
    from PIL import Image

    made = processor(
        text=[prompt],
        images=[[Image.new("RGB", (SMALL_SIDE, SMALL_SIDE))]],
        images_kwargs=dict(settings.mm_processor_kwargs),
        add_special_tokens=settings.add_special_tokens,
        return_tensors="pt",
    )
    return int(made["input_ids"].shape[1])
