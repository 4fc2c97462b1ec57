"""What every engine that writes text is told, and how it says that a prompt does not fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Engine
from dataflow_dagster.rows import Medium, RowError


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn; the same law in every engine.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_p: The likeliest tokens that together reach this probability are kept; 1 keeps all.
        top_k: So many likeliest tokens are kept; 0 or -1 keeps all.
        repetition_penalty: Divides the (positive) logits of tokens that stand in the prompt or in
            the answer so far; 1 leaves them alone.
        max_tokens: The longest answer, the end token counted.
        min_p: Tokens below this share of the likeliest one's probability are dropped; 0 keeps all.
        presence_penalty: Taken off the logits of tokens that stand in the answer so far.
        frequency_penalty: The same, as many times as they stand there.
        stop: Texts before which the answer ends.
        min_tokens: Before so many tokens nothing ends the answer.
        stop_token_ids: Tokens that end the answer, beside the model's own.
        ignore_eos: The model's own end tokens end nothing.
        skip_special_tokens: The answer holds none of the tokenizer's special tokens.
        include_stop_str_in_output: What ended the answer is part of it.
    """

    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    max_tokens: int
    min_p: float = 0
    presence_penalty: float = 0
    frequency_penalty: float = 0
    stop: tuple[str, ...] = ()
    min_tokens: int = 0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    include_stop_str_in_output: bool = False


@dataclass(frozen=True, slots=True)
class LanguageSettings:
    """How a language model is opened and fed; what each means is told in `LanguageModel`.

    Attributes:
        medium: What each prompt comes with: ``text`` is the prompt alone.
        add_special_tokens: False where prompts hold all of the tokenizer's own, such as BOS.
    """

    model_path: str
    sampling: Sampling
    trust_remote_code: bool = False
    tensor_parallel_size: int = 1
    max_model_len: int | None = None
    max_num_seqs: int = 128
    batch_size: int = 16
    medium: Medium = "image"
    gpu_memory_utilization: float | None = None
    quantization: str | None = None
    limit_mm_per_prompt: Mapping[str, int] = field(default_factory=dict[str, int])
    mm_processor_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    add_special_tokens: bool = True


def refuse_memory_share(engine: Engine, settings: LanguageSettings) -> None:
    """Tell a share of a GPU's memory where there is no GPU.

    Raises:
        UnfitSettingError: It is given, and the engine's device is a CPU.
    """
    share = settings.gpu_memory_utilization
    if engine.device == "cpu" and share is not None:
        raise UnfitSettingError(
            "gpu_memory_utilization", share, "the device is 'cpu'; leave it out"
        )


def refuse_splitting(engine: Engine, settings: LanguageSettings) -> None:
    """Tell a model that is to be split over GPUs where there is none.

    Raises:
        UnfitSettingError: More than one is asked for, and the engine's device is a CPU.
    """
    if engine.device == "cpu" and settings.tensor_parallel_size > 1:
        raise UnfitSettingError(
            "tensor_parallel_size",
            settings.tensor_parallel_size,
            "the device is 'cpu'; leave it out",
        )


def too_long(limit: int, prompt_tokens: int | None = None) -> RowError:
    """A prompt that leaves no room for an answer within the model's `limit` of tokens."""
    length = "too many" if prompt_tokens is None else prompt_tokens
    return RowError(
        "prompt_too_long",
        f"the prompt has {length} tokens, those of the picture or clip included; "
        f"max_model_len, for prompt and answer together, is {limit}",
    )


def ended_at(
    text: str, stop: Sequence[str], *, after: int = 0, included: bool = False
) -> int | None:
    """Where the first of some texts ends `text`, in characters; None: none of them does.

    Args:
        text: The whole answer.
        stop: The texts.
        after: One that is complete within so many characters ends nothing.
        included: The text that ends it is part of the answer.
    """
    begun = ((text.find(one, max(0, after - len(one) + 1)), one) for one in stop)
    found = [(at, at + len(one)) for at, one in begun if at >= 0]
    return min(found)[int(included)] if found else None


def tidy(text: str) -> str:
    """An answer without spaces at its ends, or half a character where `max_tokens` cut it."""
    return text.rstrip("\ufffd").strip()
