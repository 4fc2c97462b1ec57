"""Stable Diffusion 3."""

from typing import Self

from pydantic import Field, model_validator

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.image_generator import ImageGenerator
from dataflow_dagster.registry import register


@register("ImageGenerator", aliases=("StableDiffusion3Generator",))
class StableDiffusionGenerator(ImageGenerator):
    """Stable Diffusion 3.5 large, 8 billion weights; 3 and 3.5 medium run as well.

    It draws on latents of 8 x 8 pixels in patches of two by two, hence sizes in steps of 16.
    Source: https://huggingface.co/stabilityai/stable-diffusion-3.5-large
    """

    model_path: ModelPath = "stabilityai/stable-diffusion-3.5-large"
    num_inference_steps: int = Field(28, ge=1, description="denoising steps")

    @model_validator(mode="after")
    def _heeds_its_negative_prompt(self) -> Self:
        if self.negative_prompt is not None and self.guidance_scale <= 1:
            raise ValueError(
                "negative_prompt has an effect only with guidance_scale above 1, "
                f"not {self.guidance_scale}"
            )
        return self
