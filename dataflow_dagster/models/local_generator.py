"""Texts by a language model on this machine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from dataflow_dagster.engines.language import LanguageSettings, Sampling
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.engines.transformers.text import (
    check_beforehand,
    open_transformers,
    render_text_chat,
)
from dataflow_dagster.engines.vllm.session import open_session as open_vllm
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.language_model import (
    LanguageModel,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from dataflow_dagster.models.text_api import Stop
from dataflow_dagster.models.text_generator import TextGenerator, text_of, under_prompt
from dataflow_dagster.registry import register

_OPENERS = {"vllm": open_vllm, "transformers": open_transformers}


@register("TextGenerator")
class LocalModelGenerator(LanguageModel, TextGenerator):
    """Any language model of the Hub; by default Qwen2.5, 1.5 billion weights.

    It continues `prompt`, a line break and the row's text as they are; ``chat_template: true``
    makes them a user's turn, as instruction-tuned models were trained.
    Source: https://huggingface.co/Qwen/Qwen2.5-1.5B-Instruct
    """

    old_keys: ClassVar[Mapping[str, str]] = {"n": "repeat_time"}
    outside_key: ClassVar[frozenset[str]] = LanguageModel.outside_key | {"download_dir"}

    model_path: ModelPath = "Qwen/Qwen2.5-1.5B-Instruct"
    download_dir: str | None = Field(
        None, min_length=1, description="folder for weights from the Hub; default: the Hub's cache"
    )
    prompt: str = Field(
        "", description="stands above the row's text, with a line break; literal, braces included"
    )
    chat_template: bool = Field(
        False, description="put prompt and text as a user's turn into the model's chat template"
    )
    temperature: Temperature = 0.75
    top_p: TopP = 1
    top_k: TopK = -1
    min_p: float = Field(
        0, ge=0, le=1, description="drop tokens below this share of the likeliest one"
    )
    repetition_penalty: RepetitionPenalty = 1
    presence_penalty: float = Field(
        0, ge=-2, le=2, description="taken off tokens that the answer has already; 0: off"
    )
    frequency_penalty: float = Field(
        0, ge=-2, le=2, description="the same, as often as they stand in it; 0: off"
    )
    stop: Stop = None
    stop_token_ids: list[Annotated[int, Field(ge=0)]] | None = Field(
        None, description="tokens that end the answer, beside the model's own"
    )
    min_tokens: int = Field(0, ge=0, description="before so many tokens nothing ends the answer")
    ignore_eos: bool = Field(
        False, description="go on past the model's own end token, up to max_tokens"
    )
    skip_special_tokens: bool = Field(
        True, description="leave the tokenizer's special tokens out of the answer"
    )
    include_stop_str_in_output: bool = Field(
        False, description="keep what ended the answer as its last part"
    )

    @model_validator(mode="after")
    def _has_room_for_its_least(self) -> Self:
        if self.min_tokens > self.max_tokens:
            raise ValueError(
                f"min_tokens must be at most max_tokens ({self.max_tokens}), not {self.min_tokens}"
            )
        return self

    def request(self, given: Given) -> Request:
        """The row's text under the prompt, in the chat template if that is wanted."""
        prompt = under_prompt(self.prompt, text_of(given))
        if self.chat_template:
            folder = self.folder()
            prompt = render_text_chat(folder, prompt, trust_remote_code=self.trust_remote_code)
        return Request(given.number, given.seed, prompt)

    def open_weights(self, engine: Engine, settings: LanguageSettings) -> Session:
        """See `LanguageModel.open_weights`."""
        check_beforehand(settings, self.prompt)
        return _OPENERS[engine.name](engine, settings)

    def kept_in(self) -> str | None:
        """See `HubModel.kept_in`."""
        return self.download_dir

    def settings(self, folder: str) -> LanguageSettings:
        """See `LanguageModel.settings`."""
        return replace(
            super().settings(folder), medium="text", add_special_tokens=not self.chat_template
        )

    def sampling(self) -> Sampling:
        """See `LanguageModel.sampling`."""
        return replace(
            super().sampling(),
            min_p=self.min_p,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            stop=_as_tuple(self.stop),
            stop_token_ids=tuple(self.stop_token_ids or ()),
            min_tokens=self.min_tokens,
            ignore_eos=self.ignore_eos,
            skip_special_tokens=self.skip_special_tokens,
            include_stop_str_in_output=self.include_stop_str_in_output,
        )


def _as_tuple(stop: str | list[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())
