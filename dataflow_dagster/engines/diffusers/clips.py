"""Clips by Hugging Face diffusers: batches of one constant shape, a generator per row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.engines.diffusers.calls import prompt_details, taken_by
from dataflow_dagster.engines.diffusers.session import PipelineSession
from dataflow_dagster.engines.diffusers.speed import Speed
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.media.clips import Clip
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from numpy import ndarray


SMALLER: Final = "config keys num_frames, height, width, vae_tiling, cpu_offload and quantization"


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How a video pipeline is opened and called.

    Attributes:
        call: Arguments of the pipeline's call that are the same for all rows.
        fps: Frames a second of the clips.
        batch_size: Rows of each call.
        pipeline: Name of its class in diffusers; None: as the checkpoint says.
        variant: Which of several precisions the files are stored in, such as ``fp16``.
        motion_adapter: Weights that a pipeline for pictures is given to move them.
        vae_folder: Of the checkpoint; its VAE is kept in float32.
    """

    model_path: str
    call: Mapping[str, Any]
    fps: float
    batch_size: int = 1
    pipeline: str | None = None
    variant: str | None = None
    motion_adapter: str | None = None
    vae_folder: str | None = None
    speed: Speed = field(default_factory=Speed)


class VideoSession(PipelineSession):
    """Makes clips."""

    def __init__(self, pipeline: Any, settings: ClipSettings) -> None:
        super().__init__(pipeline, settings.call, settings.batch_size, SMALLER)
        self._taken = taken_by(pipeline)
        self._fps = settings.fps

    def _make(self, rows: Sequence[Request]) -> "ndarray[Any, Any]":
        """Values in [0, 1], (rows, frames, height, width, 3)."""
        import numpy as np
        import torch

        own: dict[str, Any] = {}
        if "prompt" in self._taken:
            own["prompt"] = [row.prompt for row in rows]
        if rows[0].picture is not None:
            own["image"] = [row.picture for row in rows]
        with torch.random.fork_rng():
            # For pipelines that draw some numbers past the generators, as I2VGen-XL does.
            torch.manual_seed(rows[0].seed)
            made = self._pipeline(**own, **self._arguments(rows)).frames
        return np.asarray(made)

    def _check(self, request: Request, values: "ndarray[Any, Any]") -> Answer | RowError:
        import numpy as np

        if not np.isfinite(values).all():
            return RowError("not_finite", "the clip has values that are not finite numbers")
        pixels = (values.clip(0, 1) * 255).round().astype(np.uint8)
        if (pixels == pixels[0, 0, 0]).all():
            colour = tuple(pixels[0, 0, 0].tolist())
            return RowError("flat_clip", f"every pixel of the clip has the colour {colour}")
        clip = Clip(pixels, self._fps)
        return Answer(clip=clip, details=self._details(request, clip))

    def _details(self, request: Request, clip: Clip) -> dict[str, Any]:
        """Frames as they were made: pipelines round the number asked for, in silence."""
        frames, height, width, _ = clip.pixels.shape
        asked = self._call.get("num_frames", frames)
        counted = prompt_details(self._pipeline, request.prompt, self._call)
        return {
            "seed": request.seed,
            "frames": frames,
            **({} if asked == frames else {"frames_asked": asked}),
            "width": width,
            "height": height,
            "fps": clip.fps,
            **(counted if "prompt" in self._taken else {}),
        }
