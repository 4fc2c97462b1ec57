"""Pictures by a model behind an API."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.openai.images import open_images
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.api import ApiModel, ModelName
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.registry import register
from dataflow_dagster.rows import Medium, RowError


@register("ImageGenerator")
class ImageAPIGenerator(ApiModel):
    """A model of OpenAI's images API, or of a compatible server, that draws a row's text.

    The API takes no seed: a row drawn anew is another picture.
    Source: https://platform.openai.com/docs/api-reference/images/create
    """

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "image"
    asset: ClassVar[str] = "generated_images"
    old_keys: ClassVar[Mapping[str, str]] = {
        "api_base": "base_url",
        "api_url": "base_url",
        "weight": "width",
    }

    model: ModelName = "dall-e-3"
    height: int = Field(1024, ge=16, description="of the picture, in pixels")
    width: int = Field(1024, ge=16, description="of the picture, in pixels")
    quality: str | None = Field(
        None, min_length=1, description="as the model names it: standard, hd, low, high, ..."
    )
    max_num_seqs: int = Field(8, ge=1, description="most requests in flight")

    def request(self, given: Given) -> Request:
        """The row's text as it is."""
        if given.text is None or not given.text.strip():
            raise RowError("empty_text", f"the row's text is {given.text!r}; nothing to draw")
        return Request(given.number, given.seed, given.text)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        del engine  # the server alone can answer
        return open_images(self.api_settings(), self.options())

    def options(self) -> dict[str, Any]:
        """The keys that are sent beside the text."""
        size = {"size": f"{self.width}x{self.height}"}
        return size if self.quality is None else {**size, "quality": self.quality}

    def served_name(self) -> str:
        """See `ApiModel.served_name`."""
        return self.model
