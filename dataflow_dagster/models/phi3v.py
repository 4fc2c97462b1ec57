"""Phi-3-vision."""

from dataclasses import replace
from typing import ClassVar, Self

from pydantic import Field, model_validator

from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class Phi3VCaptioner(ImageCaptioner):
    r"""Phi-3-vision, 4 billion weights; reads a picture as up to 2653 tokens at 16 crops.

    Its own 131072 tokens would take 48 GiB of a GPU for each row at work, hence `max_model_len`.
    Template: https://huggingface.co/microsoft/Phi-3-vision-128k-instruct#chat-format
    """

    prompt_template: ClassVar[str] = "<|user|>\n<|image_1|>\n{p}<|end|>\n<|assistant|>\n"
    engines: ClassVar[tuple[str, ...]] = ("vllm",)

    model_path: ModelPath = "microsoft/Phi-3-vision-128k-instruct"
    num_crops: int = Field(
        16, ge=1, description="most squares of 336 pixels a picture is cut into, beside its whole"
    )
    max_model_len: int | None = Field(
        4096, ge=2, description="most tokens of prompt, picture and answer; null: the model's"
    )

    @model_validator(mode="after")
    def _is_trusted(self) -> Self:
        if not self.trust_remote_code:
            raise ValueError(
                "write trust_remote_code: true: Phi-3-vision runs only with the Python code that "
                "comes with its weights"
            )
        return self

    def settings(self, folder: str) -> LanguageSettings:
        """See `LanguageModel.settings`."""
        told = super().settings(folder)
        kwargs = {"num_crops": self.num_crops, **told.mm_processor_kwargs}
        return replace(told, mm_processor_kwargs=kwargs)
