"""What all image captioners have in common: what they read, and the template of their prompt."""

from pathlib import Path
from typing import ClassVar

from dataflow_dagster.engines.session import Request
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.language_model import Prompt
from dataflow_dagster.models.vision_language import VisionLanguageModel
from dataflow_dagster.rows import Medium, RowError

__all__ = ["ImageCaptioner", "ModelPath", "Prompt"]

MOST_UNLIKE_SIDES = 200
"""Processors scale the shorter side up to some 336 pixels, so that a line of 1 x 20000 would take
gigabytes. The limit is Qwen2-VL's: https://github.com/QwenLM/Qwen3-VL (smart_resize)."""


class ImageCaptioner(VisionLanguageModel):
    """A vision-language model that says what a picture shows.

    A subclass gives `model_path` a default, and its prompt template.

    Attributes:
        prompt_template: What the model was trained on, with ``{p}`` where `prompt` goes.
    """

    reads: ClassVar[Medium] = "image"
    asset: ClassVar[str] = "captions"
    prompt_template: ClassVar[str]

    prompt: Prompt = "What is the content of this image?"

    def request(self, given: Given) -> Request:
        """The row's picture, decoded, under the rendered prompt."""
        if given.image is None:
            raise RowError("missing_image", "the row has no picture to describe")
        picture = read_picture(Path(given.image))
        if max(picture.size) > MOST_UNLIKE_SIDES * min(picture.size):
            width, height = picture.size
            raise RowError(
                "picture_too_narrow",
                f"{given.image}: {width}x{height}; one side may be {MOST_UNLIKE_SIDES} times the "
                "other at most",
            )
        return Request(given.number, given.seed, self.render(), picture)

    def render(self) -> str:
        """The prompt in its template."""
        return self.prompt_template.replace("{p}", self.prompt)
