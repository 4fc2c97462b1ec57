"""FLUX.1."""

from typing import Any, Self

from pydantic import Field, model_validator

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.image_generator import ImageGenerator
from dataflow_dagster.registry import register


@register("ImageGenerator")
class FLUXGenerator(ImageGenerator):
    """FLUX.1 [dev], 12 billion weights; guidance is distilled into them.

    It draws on latents of 8 x 8 pixels packed two by two, hence sizes in steps of 16, which
    diffusers would round down to in silence.
    Source: https://huggingface.co/black-forest-labs/FLUX.1-dev
    """

    model_path: ModelPath = "black-forest-labs/FLUX.1-dev"
    true_cfg_scale: float = Field(
        1.0,
        ge=1,
        allow_inf_nan=False,
        description="how far to keep from negative_prompt; above 1 each step costs twice the time",
    )

    @model_validator(mode="after")
    def _heeds_its_negative_prompt(self) -> Self:
        if (self.negative_prompt is not None) != (self.true_cfg_scale > 1):
            raise ValueError(
                "FLUX heeds negative_prompt only together with true_cfg_scale above 1 (2 to 5 "
                f"are usual); here negative_prompt is {self.negative_prompt!r} and "
                f"true_cfg_scale {self.true_cfg_scale}"
            )
        return self

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        return {**super().call_settings(), "true_cfg_scale": float(self.true_cfg_scale)}
