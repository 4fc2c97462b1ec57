"""LLaVA-NeXT."""

from typing import ClassVar

from pydantic import Field

from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath, Prompt
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class LLaVANeXTCaptioner(ImageCaptioner):
    r"""LLaVA-NeXT on Mistral, 7 billion weights; reads a picture as up to 2928 tokens.

    Its own 32768 tokens would take 4 GiB of a GPU for each row at work, hence `max_model_len`.
    Template: https://huggingface.co/llava-hf/llava-v1.6-mistral-7b-hf#how-to-use
    """

    prompt_template: ClassVar[str] = "[INST] <image>\n{p} [/INST]"

    model_path: ModelPath = "llava-hf/llava-v1.6-mistral-7b-hf"
    prompt: Prompt = "What is shown in this image?"
    max_model_len: int | None = Field(
        8192, ge=2, description="most tokens of prompt, picture and answer; null: the model's"
    )
