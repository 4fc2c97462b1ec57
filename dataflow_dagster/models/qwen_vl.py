"""Qwen2-VL."""

from typing import ClassVar

from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class QwenVLCaptioner(ImageCaptioner):
    r"""Qwen2-VL, 7 billion weights; reads a picture as a token for every 28 x 28 pixels.

    ``mm_processor_kwargs: {size: {shortest_edge: 3136, longest_edge: 1003520}}``, in pixels of the
    whole picture, bounds them to 1280; its own bound is 16384. Template: https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct
    """

    prompt_template: ClassVar[str] = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>{p}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )

    model_path: ModelPath = "Qwen/Qwen2-VL-7B-Instruct"
