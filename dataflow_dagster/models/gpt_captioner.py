"""Captions by a vision-language model behind an API."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.openai.chat import ChatSettings, open_chat
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.media.data_urls import data_url
from dataflow_dagster.models.api import ApiModel, ModelName, Temperature, TopP
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.language_model import Prompt
from dataflow_dagster.registry import register
from dataflow_dagster.rows import Medium, RowError

DEFAULT_MAX_TOKENS = 256


@register("ImageCaptioner")
class GPTCaptioner(ApiModel):
    """A model of OpenAI's, or of any compatible server, that says what a picture shows.

    The user's message is `prompt`, then the picture.
    Source: https://platform.openai.com/docs/guides/images-vision
    """

    reads: ClassVar[Medium] = "image"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "captions"
    old_keys: ClassVar[Mapping[str, str]] = {"api_base": "base_url", "model_path": "model"}

    model: ModelName = "gpt-4o"
    sys_prompt: str = Field(
        "You are a helpful assistant.", description="the system message; empty: none"
    )
    prompt: Prompt = "What is the content of this image?"
    temperature: Temperature = 0.2
    top_p: TopP = None
    max_tokens: int | None = Field(
        None,
        ge=1,
        description=f"longest answer in tokens; default: {DEFAULT_MAX_TOKENS}, or max_num_seqs "
        "where that is more",
    )
    max_num_seqs: int = Field(
        32,
        ge=1,
        description="most requests in flight; Dataflow-Gen took it for the longest answer in "
        "tokens, so without max_tokens no answer is cut below it",
    )
    batch_size: int | None = Field(
        None, ge=1, description="accepted; max_num_seqs alone decides how many are in flight"
    )
    max_side: int = Field(
        2048, ge=16, description="pixels; a picture with a longer side is scaled down before"
    )

    def request(self, given: Given) -> Request:
        """The row's picture as a data URL under the prompt."""
        if given.image is None:
            raise RowError("missing_image", "the row has no picture to describe")
        url = data_url(Path(given.image), max_side=self.max_side)
        return Request(given.number, given.seed, self.prompt, data_url=url)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        del engine  # the server alone can answer
        sampling = {"temperature": self.temperature, "top_p": self.top_p}
        sent = {key: value for key, value in sampling.items() if value is not None}
        chat = ChatSettings(self.sys_prompt, {"max_tokens": self.longest_answer(), **sent})
        return open_chat(self.api_settings(), chat)

    def served_name(self) -> str:
        """See `ApiModel.served_name`."""
        return self.model

    def longest_answer(self) -> int:
        """In tokens."""
        return self.max_tokens or max(DEFAULT_MAX_TOKENS, self.max_num_seqs)

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`."""
        return {**super().key_settings(), "max_tokens": self.longest_answer()}


@register("ImageCaptioner")
class ImageAPICaptioner(GPTCaptioner):
    """The same by the name that says so: any provider, ``model: provider:model``.

    Source: https://platform.openai.com/docs/guides/images-vision
    """
