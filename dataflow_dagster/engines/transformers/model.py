"""A vision-language model of Hugging Face transformers, loaded and made ready to generate."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.session import Engine
from dataflow_dagster.engines.transformers.positions import mend_positions
from dataflow_dagster.engines.transformers.processor import check_medium_kwargs, load_processor


@dataclass(frozen=True, slots=True)
class Loaded:
    """A vision-language model in memory.

    Attributes:
        model: On its device or devices, in evaluation mode.
        processor: Pictures or clips and text → what `model` takes, left-padded.
        limit: The most tokens a prompt and its answer may have together; None: not known.
        end_tokens: Any of them ends an answer.
        medium_kwargs: How `processor` is to treat pictures or clips, where not as its files say.
        add_special_tokens: Whether the tokenizer adds its own, such as BOS, to a prompt.
    """

    model: Any
    processor: Any
    limit: int | None
    end_tokens: frozenset[int]
    medium_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    add_special_tokens: bool = True


def load(engine: Engine, settings: LanguageSettings) -> Loaded:
    """Read the weights and put them on the engine's device, at its precision.

    Raises:
        UnfitSettingError: `max_model_len` is more than the model was made for, or the processor
            knows no such key of `mm_processor_kwargs`.
    """
    from transformers import AutoModelForImageTextToText, GenerationConfig

    processor = load_processor(settings.model_path, trust_remote_code=settings.trust_remote_code)
    processor.tokenizer.padding_side = "left"
    check_medium_kwargs(processor, settings.medium, settings.mm_processor_kwargs)
    model = load_model(engine, settings, AutoModelForImageTextToText)
    if settings.medium == "video":
        mend_positions(model)
    ends, pad = special_tokens(model, processor)
    # The checkpoint's own sampling must not mix with the row's.
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(ends), pad_token_id=pad
    )
    return Loaded(
        model,
        processor,
        token_limit(model, settings),
        ends,
        settings.mm_processor_kwargs,
        settings.add_special_tokens,
    )


def load_model(engine: Engine, settings: LanguageSettings, auto_class: Any) -> Any:
    """The weights, by one of transformers' auto classes, where and how the engine wants them."""
    import torch

    devices = _places(engine, settings.tensor_parallel_size)
    model: Any = auto_class.from_pretrained(
        settings.model_path,
        dtype=getattr(torch, engine.precision),
        trust_remote_code=settings.trust_remote_code,
        **devices,
    )
    return (model if devices else model.to(engine.device)).eval()


def _places(engine: Engine, most_gpus: int) -> dict[str, Any]:
    """How accelerate is told to lay layers on several GPUs; empty: all go on one device."""
    import torch

    gpus = min(most_gpus, torch.cuda.device_count()) if engine.device == "cuda" else 0
    if gpus < 2:
        return {}
    free = {gpu: torch.cuda.mem_get_info(gpu)[0] for gpu in range(gpus)}
    return {"device_map": "balanced", "max_memory": free}


def special_tokens(model: Any, processor: Any) -> tuple[frozenset[int], int]:
    """The tokens that end an answer, and the one that pads."""
    own = model.generation_config
    ends = own.eos_token_id if own.eos_token_id is not None else processor.tokenizer.eos_token_id
    ends = frozenset(ends) if isinstance(ends, list) else frozenset([ends])
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return ends, processor.tokenizer.pad_token_id


def token_limit(model: Any, settings: LanguageSettings) -> int | None:
    """The tokens that fit: the model's own limit, or less where the settings say so."""
    config = model.config.get_text_config()
    own = getattr(config, "max_position_embeddings", None)
    rope: Any = getattr(config, "rope_parameters", None) or {}
    if own is not None and rope.get("rope_type") == "linear":  # such as LLaVA-NeXT-Video's
        own = int(own * rope["factor"])
    asked = settings.max_model_len
    if own is not None and asked is not None and asked > own:
        raise UnfitSettingError("max_model_len", asked, f"the model was made for at most {own}")
    return own if asked is None else asked
