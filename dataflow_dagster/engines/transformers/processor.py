"""A checkpoint's processor: how it makes tokens of a prompt and its medium, told beforehand."""

from collections.abc import Mapping
from typing import Any, Final

from dataflow_dagster.engines.checkpoint import context_length
from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.rows import Medium

_NAMES: Final = {"image": "picture", "video": "clip", "text": "text"}
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


def check_medium_kwargs(processor: Any, medium: Medium, given: Mapping[str, Any]) -> None:
    """Tell what the processor of pictures, or of clips, would ignore.

    Raises:
        UnfitSettingError: A key of `mm_processor_kwargs` that it does not take, or a clip that
            the checkpoint has no processor for.
    """
    part = _part(processor, medium)
    kwargs: Any = getattr(part, "valid_kwargs", None)
    known = kwargs.__optional_keys__ | kwargs.__required_keys__ if kwargs else frozenset[str]()
    if unknown := sorted(set(given) - known):
        name = type(part).__name__
        allowed = f"{name} takes {', '.join(sorted(known)) or 'none'}"
        raise UnfitSettingError("mm_processor_kwargs", unknown[0], allowed)


def check_beforehand(settings: LanguageSettings, prompt: str) -> None:
    """Tell, before an engine starts, what would leave every row without its answer.

    Raises:
        UnfitSettingError: The prompt with its medium fills `max_model_len` alone, or, without
            that, all that the model's own files give it room for; or the
            processor takes no such key of `mm_processor_kwargs`.
    """
    if token_room(settings) is None and not settings.mm_processor_kwargs:
        return
    processor = load_processor(settings.model_path, trust_remote_code=settings.trust_remote_code)
    check_medium_kwargs(processor, settings.medium, settings.mm_processor_kwargs)
    tokens = _count_tokens(processor, settings, prompt)
    check_room(settings, prompt, tokens, f"prompt and {_NAMES[settings.medium]}")


def token_room(settings: LanguageSettings) -> int | None:
    """The most tokens of prompt and answer together; None: the engine alone knows."""
    limit = settings.max_model_len
    return context_length(settings.model_path) if limit is None else limit


def check_room(settings: LanguageSettings, prompt: str, tokens: int, what: str) -> None:
    """Tell a prompt that leaves no room for an answer.

    Args:
        settings: Of the model.
        prompt: As it is written.
        tokens: Of it, or of it and its medium.
        what: Has so many tokens.

    Raises:
        UnfitSettingError: It fills `max_model_len`, or, without that, all that the model takes.
    """
    room, limit = token_room(settings), settings.max_model_len
    if room is None or tokens < room:
        return
    if limit is None:
        begun = f"{prompt[:60]}…" if len(prompt) > 60 else prompt
        allowed = f"{what} are {tokens} tokens, and the model takes {room} in all"
        raise UnfitSettingError("prompt", begun, allowed)
    wanted = tokens + settings.sampling.max_tokens
    raise UnfitSettingError(
        "max_model_len",
        limit,
        f"{what} alone are {tokens} tokens or more; leave it out, or write {wanted} or more to "
        "leave room for max_tokens",
    )


def _count_tokens(processor: Any, settings: LanguageSettings, prompt: str) -> int:
    """The fewest a picture, or a clip of two frames, has with this prompt."""
    import numpy as np
    from PIL import Image

    black = np.zeros((2, SMALL_SIDE, SMALL_SIDE, 3), np.uint8)
    kwargs = dict(settings.mm_processor_kwargs)
    media: dict[str, Any] = (
        {"videos": [black], "videos_kwargs": {**kwargs, "do_sample_frames": False}}
        if settings.medium == "video"
        else {"images": [[Image.fromarray(black[0])]], "images_kwargs": kwargs}
    )
    made = processor(
        text=[prompt],
        **media,
        add_special_tokens=settings.add_special_tokens,
        return_tensors="pt",
    )
    return int(made["input_ids"].shape[1])


def _part(processor: Any, medium: Medium) -> Any:
    if medium != "video":
        return processor.image_processor
    part = getattr(processor, "video_processor", None)
    if part is None:
        name = type(processor).__name__
        raise UnfitSettingError("model_path", name, "this model reads no clips")
    return part
