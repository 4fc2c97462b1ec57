"""Texts by a language model behind an API."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.openai.chat import ChatSettings, open_chat
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.api import ApiModel, ModelName, Temperature, TopP
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.text_generator import TextGenerator, text_of, under_prompt
from dataflow_dagster.registry import register

Penalty = Annotated[
    float | None,
    Field(ge=-2, le=2, description="lowers tokens already in the answer; null: not sent"),
]
Stop = Annotated[
    str | list[str] | None, Field(description="texts before which the answer ends, up to 4")
]


class ApiTextGenerator(ApiModel, TextGenerator):
    """A chat model: a system message and the user's."""

    temperature: Temperature = None
    top_p: TopP = None
    max_tokens: int = Field(256, ge=1, description="longest answer in tokens")
    stop: Stop = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None

    sampling: ClassVar[tuple[str, ...]] = (
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "presence_penalty",
        "frequency_penalty",
    )

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        del engine  # the server alone can answer
        return open_chat(self.api_settings(), ChatSettings(self.system(), self.options()))

    @abstractmethod
    def system(self) -> str:
        """The system message; empty: none."""

    def options(self) -> dict[str, Any]:
        """The sampling keys that are sent."""
        values = {key: getattr(self, key) for key in self.sampling}
        return {key: value for key, value in values.items() if value is not None}


@register("TextGenerator")
class GPTTextGenerator(ApiTextGenerator):
    """A model of OpenAI's, or of any compatible server: rewrites a text as `prompt` says.

    Source: https://platform.openai.com/docs/api-reference/chat/create
    """

    model: ModelName = "gpt-4o"
    sys_prompt: str = Field(
        "You are a helpful assistant.", description="the system message; empty: none"
    )
    prompt: str = Field(
        "", description="stands above the row's text, with a line break; literal, braces included"
    )
    batch_size: int | None = Field(
        None, ge=1, description="accepted; max_num_seqs alone decides how many are in flight"
    )

    def request(self, given: Given) -> Request:
        """The row's text under the prompt."""
        prompt = under_prompt(self.prompt, text_of(given))
        return Request(given.number, given.seed, prompt)

    def system(self) -> str:
        """See `ApiTextGenerator.system`."""
        return self.sys_prompt

    def served_name(self) -> str:
        """See `ApiModel.served_name`."""
        return self.model


@register("TextGenerator")
class APIGenerator(ApiTextGenerator):
    """Any provider's chat model, ``model: provider:name``: answers a text as `prompt` says.

    Source: https://platform.openai.com/docs/api-reference/chat/create
    """

    old_keys: ClassVar[Mapping[str, str]] = {"api_base": "base_url", "n": "repeat_time"}

    model_id: ModelName = "openai:gpt-4o"
    prompt: str = Field(
        "You are a helpful assistant.",
        description="the system message; literal, braces included; empty: none",
    )
    temperature: Temperature = 0.75
    top_p: TopP = 1
    max_tokens: int = Field(20, ge=1, description="longest answer in tokens")
    stream: bool = Field(False, description="accepted; answers are always taken whole")

    def request(self, given: Given) -> Request:
        """The row's text as it is."""
        return Request(given.number, given.seed, text_of(given))

    def system(self) -> str:
        """See `ApiTextGenerator.system`."""
        return self.prompt

    def served_name(self) -> str:
        """See `ApiModel.served_name`."""
        return self.model_id
