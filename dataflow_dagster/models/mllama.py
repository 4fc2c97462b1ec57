"""Llama 3.2 Vision."""

from typing import ClassVar

from pydantic import Field

from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class MLLamaCaptioner(ImageCaptioner):
    """Llama 3.2 Vision, 11 billion weights, 22 GB in bfloat16; pictures take no tokens.

    vLLM has dropped this architecture after 0.10.2.
    Template: https://huggingface.co/meta-llama/Llama-3.2-11B-Vision-Instruct
    """

    prompt_template: ClassVar[str] = "<|image|><|begin_of_text|>{p}"
    engines: ClassVar[tuple[str, ...]] = ("transformers",)

    model_path: ModelPath = "meta-llama/Llama-3.2-11B-Vision-Instruct"
    repetition_penalty: float = Field(
        1.0, gt=0, le=2, description="lowers tokens seen in the prompt or the answer; 1: off"
    )
    tensor_parallel_size: int = Field(
        8, ge=1, description="the model's layers lie on at most so many GPUs, evenly"
    )
