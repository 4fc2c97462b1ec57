"""A vision-language model of Hugging Face transformers, loaded and made ready to generate."""

from dataclasses import dataclass
from typing import Any

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.session import Engine


@dataclass(frozen=True, slots=True)
class Loaded:
    """A vision-language model in memory.

    Attributes:
        model: On its device, in evaluation mode.
        processor: Pictures and text → what `model` takes, left-padded.
        limit: The most tokens a prompt and its answer may have together; None: not known.
        end_tokens: Any of them ends an answer.
    """

    model: Any
    processor: Any
    limit: int | None
    end_tokens: frozenset[int]


def load(engine: Engine, settings: LanguageSettings) -> Loaded:
    """Read the weights and put them on the engine's device, at its precision.

    Raises:
        UnfitSettingError: `max_model_len` is more than the model was made for.
    """
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    trust = settings.trust_remote_code
    # backend="pil": the same pixels whether or not torchvision is installed.
    processor: Any = AutoProcessor.from_pretrained(
        settings.model_path, backend="pil", trust_remote_code=trust
    )
    processor.tokenizer.padding_side = "left"
    model: Any = AutoModelForImageTextToText.from_pretrained(
        settings.model_path, dtype=getattr(torch, engine.precision), trust_remote_code=trust
    )
    ends, pad = _special_tokens(model, processor)
    # The checkpoint's own sampling must not mix with the row's.
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=sorted(ends), pad_token_id=pad
    )
    model = model.to(engine.device).eval()
    return Loaded(model, processor, _limit(model, settings), ends)


def _special_tokens(model: Any, processor: Any) -> tuple[frozenset[int], int]:
    """The tokens that end an answer, and the one that pads."""
    own = model.generation_config
    ends = own.eos_token_id if own.eos_token_id is not None else processor.tokenizer.eos_token_id
    ends = frozenset(ends) if isinstance(ends, list) else frozenset([ends])
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    return ends, processor.tokenizer.pad_token_id


def _limit(model: Any, settings: LanguageSettings) -> int | None:
    """The tokens that fit: the model's own limit, or less where the settings say so."""
    own = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    asked = settings.max_model_len
    if own is not None and asked is not None and asked > own:
        raise UnfitSettingError("max_model_len", asked, f"the model was made for at most {own}")
    return own if asked is None else asked
