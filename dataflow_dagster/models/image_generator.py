"""What all image generators have in common: the keys of their ``config`` and how they run."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from dataflow_dagster.engines import diffusers
from dataflow_dagster.engines.checkpoint import check_model_path, revision
from dataflow_dagster.engines.choice import choose
from dataflow_dagster.engines.diffusers import DrawingSettings
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.models.image_captioner import Device, Dtype, ModelPath
from dataflow_dagster.rows import Medium, RowError


class ImageGenerator(Model):
    """A diffusion model that draws a row's text.

    A subclass gives `model_path` a default, and its own limits.

    Attributes:
        size_step: `height` and `width` are multiples of it.
    """

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "image"
    asset: ClassVar[str] = "generated_images"
    old_keys: ClassVar[Mapping[str, str]] = {"weight": "width"}
    outside_key: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "device", "dtype", "model_path"}
    )
    engines: ClassVar[tuple[str, ...]] = ("diffusers",)
    size_step: ClassVar[int] = 16

    model_path: ModelPath
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
    batch_size: int = Field(1, ge=1, description="pictures drawn together")
    dtype: Dtype = "auto"
    device: Device = "auto"

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        step = self.size_step
        for key, size in (("height", self.height), ("width", self.width)):
            if size % step:
                near = f"{size - size % step} or {size - size % step + step}"
                raise ValueError(f"{key} must be a multiple of {step}, not {size}; try {near}")
        return self

    def engine(self) -> Engine:
        """See `Model.engine`."""
        return choose(
            self.engines,
            backend="auto",
            device=self.device,
            dtype=self.dtype,
            model_path=self.model_path,
        )

    def request(self, given: Given) -> Request:
        """The row's text as it is."""
        if given.text is None or not given.text.strip():
            raise RowError("empty_text", f"the row's text is {given.text!r}; nothing to draw")
        return Request(given.number, given.seed, given.text)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        check_model_path(self.model_path)
        return diffusers.open_session(engine, self._settings())

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the weights stand in it by what they are, not where."""
        return {**super().key_settings(), "revision": revision(self.model_path)}

    def _settings(self) -> DrawingSettings:
        return DrawingSettings(
            model_path=self.model_path,
            height=self.height,
            width=self.width,
            guidance_scale=self.guidance_scale,
            num_inference_steps=self.num_inference_steps,
            max_sequence_length=self.max_sequence_length,
            batch_size=self.batch_size,
        )
