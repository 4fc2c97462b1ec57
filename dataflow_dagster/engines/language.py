"""What every engine that writes text is told, and how it says that a prompt does not fit."""

from dataclasses import dataclass

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Engine
from dataflow_dagster.rows import RowError


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
    """

    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class LanguageSettings:
    """How a language model is opened and fed; what each means is told in `ImageCaptioner`."""

    model_path: str
    sampling: Sampling
    trust_remote_code: bool = False
    tensor_parallel_size: int = 1
    max_model_len: int | None = None
    max_num_seqs: int = 128
    batch_size: int = 16
    gpu_memory_utilization: float | None = None


def refuse_gpu_settings(engine: Engine, settings: LanguageSettings) -> None:
    """Tell settings that mean something on a GPU alone.

    Raises:
        UnfitSettingError: One is given, and the engine's device is a CPU.
    """
    if engine.device != "cpu":
        return
    for key, unset in (("gpu_memory_utilization", None), ("tensor_parallel_size", 1)):
        if (given := getattr(settings, key)) != unset:
            raise UnfitSettingError(key, given, "the device is 'cpu'; leave it out")


def too_long(limit: int, prompt_tokens: int | None = None) -> RowError:
    """A prompt that leaves no room for an answer within the model's `limit` of tokens."""
    length = "too many" if prompt_tokens is None else prompt_tokens
    return RowError(
        "prompt_too_long",
        f"the prompt has {length} tokens, those of the picture included; "
        f"max_model_len, for prompt and answer together, is {limit}",
    )


def tidy(text: str) -> str:
    """An answer without spaces at its ends, or half a character where `max_tokens` cut it."""
    return text.rstrip("\ufffd").strip()
