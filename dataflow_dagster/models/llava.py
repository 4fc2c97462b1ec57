"""LLaVA 1.5."""

from typing import ClassVar

from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class LLaVACaptioner(ImageCaptioner):
    r"""LLaVA 1.5, 7 billion weights; reads a picture as 576 tokens.

    Template: https://huggingface.co/llava-hf/llava-1.5-7b-hf#how-to-use-the-model
    """

    prompt_template: ClassVar[str] = "USER: <image>\n{p}\nASSISTANT:"

    model_path: ModelPath = "llava-hf/llava-1.5-7b-hf"
