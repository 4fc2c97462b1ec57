"""What the image generators of a fixed set of keys have in common."""

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from dataflow_dagster.models.diffusion import DiffusionModel


class ImageGenerator(DiffusionModel):
    """A diffusion model that draws a row's text.

    A subclass gives `model_path` a default, and its own limits.

    Attributes:
        size_step: `height` and `width` are multiples of it.
    """

    size_step: ClassVar[int] = 16

    height: int = Field(1024, ge=16, description="of the picture, in pixels")
    width: int = Field(1024, ge=16, description="of the picture, in pixels")
    guidance_scale: float = Field(
        4.5, ge=0, allow_inf_nan=False, description="how closely to follow the text"
    )
    num_inference_steps: int = Field(50, ge=1, description="denoising steps")
    max_sequence_length: int = Field(
        512,
        ge=1,
        le=512,
        description="tokens the text is padded or cut to; changes the picture; a cut is told",
    )

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        step = self.size_step
        for key, size in (("height", self.height), ("width", self.width)):
            if size % step:
                near = f"{size - size % step} or {size - size % step + step}"
                raise ValueError(f"{key} must be a multiple of {step}, not {size}; try {near}")
        return self

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        return {
            "height": self.height,
            "width": self.width,
            "guidance_scale": float(self.guidance_scale),
            "num_inference_steps": self.num_inference_steps,
            "max_sequence_length": self.max_sequence_length,
        }
