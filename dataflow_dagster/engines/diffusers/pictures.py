"""Pictures by Hugging Face diffusers: batches of one constant shape, a generator per row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.engines.batches import Isolation, answer_batches
from dataflow_dagster.engines.diffusers.calls import (
    check_call,
    prompt_details,
    quiet_libraries,
    quiet_pipeline,
    without_a_word_on_torchvision,
)
from dataflow_dagster.engines.diffusers.speed import Speed, loading, place
from dataflow_dagster.engines.memory import Fitting, free_memory, loading_memory
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request
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


class DiffusersSession:
    """Answers are given batch by batch, in order.

    Every call has `batch_size` rows, the last one filled up by repeating a row: with an equal
    batch shape a row's picture is bit-identical whatever its neighbours, while across shapes
    values differ by up to 1/255 (float32) or 8/255 (bfloat16). Where memory runs out, the size is
    halved for the rest of the run.
    """

    def __init__(self, pipeline: Any, settings: DrawingSettings) -> None:
        self._pipeline: Any = pipeline
        self._settings = settings
        self._fitting = Fitting(self._answer, settings.batch_size, SMALLER)
        self._isolation = Isolation(self._fitting.answers)

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`."""
        return self._fitting.notes

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`; at most two batches of requests are held."""
        return answer_batches(requests, self._settings.batch_size, self._isolation.answers)

    def close(self) -> None:
        """Let go of the weights, and of the GPU memory that torch keeps for reuse."""
        self._pipeline = None
        free_memory()

    def _answer(self, batch: Sequence[Request]) -> list[Answered]:
        missing = self._fitting.size - len(batch)
        drawn = self._draw([*batch, *[batch[-1]] * missing])[: len(batch)]
        return [
            (request.number, self._check(request, values))
            for request, values in zip(batch, drawn, strict=True)
        ]

    def _draw(self, rows: Sequence[Request]) -> "ndarray[Any, Any]":
        """Values in [0, 1], (rows, height, width, 3)."""
        import torch

        shared = {**self._settings.call}
        if "negative_prompt" in shared:  # diffusers takes one for each row
            shared["negative_prompt"] = [shared["negative_prompt"]] * len(rows)
        return self._pipeline(
            prompt=[row.prompt for row in rows],
            # On the CPU whatever the device: the same noise everywhere.
            generator=[torch.Generator("cpu").manual_seed(row.seed) for row in rows],
            output_type="np",
            **shared,
        ).images

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
        told = prompt_details(self._pipeline, request.prompt, self._settings.call)
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
