"""Pictures by Hugging Face diffusers: batches of one constant shape, a generator per row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.engines.diffusers.calls import (
    check_call,
    prompt_details,
    quiet_libraries,
    quiet_pipeline,
    without_a_word_on_torchvision,
)
from dataflow_dagster.engines.diffusers.session import PipelineSession
from dataflow_dagster.engines.diffusers.speed import Speed, loading, place
from dataflow_dagster.engines.memory import loading_memory
from dataflow_dagster.engines.session import Answer, Engine, Request
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from numpy import ndarray


SMALLER: Final = "config keys height, width, vae_tiling, cpu_offload, quantization and dtype"


@dataclass(frozen=True, slots=True)
class DrawingSettings:
    """How a text-to-image pipeline is opened and called.

    Attributes:
        call: Arguments of the pipeline's call that are the same for all rows.
        batch_size: Rows of each call.
    """

    model_path: str
    call: Mapping[str, Any]
    batch_size: int
    speed: Speed = field(default_factory=Speed)


class DiffusersSession(PipelineSession):
    """Draws pictures."""

    def __init__(self, pipeline: Any, settings: DrawingSettings) -> None:
        super().__init__(pipeline, settings.call, settings.batch_size, SMALLER)

    def _make(self, rows: Sequence[Request]) -> "ndarray[Any, Any]":
        """Values in [0, 1], (rows, height, width, 3)."""
        prompts = [row.prompt for row in rows]
        return self._pipeline(prompt=prompts, **self._arguments(rows)).images

    def _check(self, request: Request, values: "ndarray[Any, Any]") -> Answer | RowError:
        import numpy as np
        from PIL import Image

        if not np.isfinite(values).all():
            return RowError("not_finite", "the picture has values that are not finite numbers")
        pixels = (values * 255).round().astype(np.uint8)
        if (pixels == pixels[0, 0]).all():
            colour = tuple(pixels[0, 0].tolist())
            return RowError("flat_picture", f"every pixel of the picture has the colour {colour}")
        return Answer(picture=Image.fromarray(pixels), details=self._details(request))

    def _details(self, request: Request) -> dict[str, Any]:
        told = prompt_details(self._pipeline, request.prompt, self._call)
        return {"seed": request.seed, **told}


def open_session(engine: Engine, settings: DrawingSettings) -> DiffusersSession:
    """Load the pipeline onto the engine's device; minutes for billions of weights.

    Raises:
        EngineMissingError: A setting needs a library that is not installed.
        UnfitSettingError: A setting that this pipeline, or the device, does not take.
    """
    import torch
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    quiet_libraries()
    with loading_memory(SMALLER), without_a_word_on_torchvision():
        # A torch dtype, not its name: diffusers 0.42 loads float32 for one, with only a warning.
        pipeline: Any = DiffusionPipeline.from_pretrained(
            settings.model_path,
            dtype=getattr(torch, engine.precision),
            **loading(settings.model_path, engine, settings.speed),
        )
        check_call(pipeline, settings.call, ("prompt", "generator", "output_type"))
        quiet_pipeline(pipeline)
        return DiffusersSession(place(pipeline, engine, settings.speed), settings)
