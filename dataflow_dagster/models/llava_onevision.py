"""LLaVA-OneVision."""

from typing import ClassVar

from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class LLaVAOneVisionCaptioner(ImageCaptioner):
    r"""LLaVA-OneVision on Qwen2, 7 billion weights; reads a picture as up to 7372 tokens.

    Template: https://huggingface.co/llava-hf/llava-onevision-qwen2-7b-ov-hf
    """

    prompt_template: ClassVar[str] = (
        "<|im_start|>user <image>\n{p}<|im_end|><|im_start|>assistant\n"
    )

    model_path: ModelPath = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
