"""Any text-to-image pipeline of diffusers."""

from typing import Any, Final, Self

from pydantic import Field, JsonValue, model_validator

from dataflow_dagster.models.diffusion import DiffusionModel
from dataflow_dagster.registry import register

_OURS: Final = frozenset(
    {"prompt", "generator", "output_type", "return_dict", "num_images_per_prompt", "latents"}
)


@register("ImageGenerator")
class DiffusersGenerator(DiffusionModel):
    """Whichever pipeline `model_path` holds; a setting left out has that pipeline's own default.

    Pipelines: https://huggingface.co/docs/diffusers/api/pipelines/overview
    """

    height: int | None = Field(None, ge=8, description="of the picture, in pixels")
    width: int | None = Field(None, ge=8, description="of the picture, in pixels")
    guidance_scale: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="how closely to follow the text"
    )
    num_inference_steps: int | None = Field(None, ge=1, description="denoising steps")
    max_sequence_length: int | None = Field(
        None, ge=1, description="tokens the text is padded or cut to"
    )
    pipeline_kwargs: dict[str, JsonValue] | None = Field(
        None, description="further arguments of this pipeline's call, such as clip_skip"
    )

    @model_validator(mode="after")
    def _leaves_ours_alone(self) -> Self:
        given = self.pipeline_kwargs or {}
        if taken := sorted(set(given) & (_OURS | set(type(self).model_fields))):
            raise ValueError(f"pipeline_kwargs: '{taken[0]}' comes from the row or has its own key")
        return self

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        scale = self.guidance_scale
        return {
            "height": self.height,
            "width": self.width,
            "guidance_scale": None if scale is None else float(scale),
            "num_inference_steps": self.num_inference_steps,
            "max_sequence_length": self.max_sequence_length,
            **(self.pipeline_kwargs or {}),
        }
