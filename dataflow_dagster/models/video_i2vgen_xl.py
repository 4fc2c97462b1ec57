"""I2VGen-XL."""

from dataclasses import replace
from typing import Any, ClassVar

from dataflow_dagster.engines.diffusers.clips import ClipSettings
from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_generator import (
    ChunkSize,
    Fps,
    FrameCount,
    Guidance,
    PictureMover,
    Side,
    Steps,
    Variant,
)
from dataflow_dagster.registry import register


@register("VideoGenerator")
class I2VGenXLGenerator(PictureMover):
    """I2VGen-XL; moves a picture as a text says. It is told the `fps` it draws for.

    Source: https://huggingface.co/ali-vilab/i2vgen-xl
    """

    pipeline: ClassVar[str | None] = "I2VGenXLPipeline"
    half: ClassVar[str] = "float16"

    model_path: ModelPath = "ali-vilab/i2vgen-xl"
    height: Side = 704
    width: Side = 1280
    num_frames: FrameCount = 16
    num_inference_steps: Steps = 50
    guidance_scale: Guidance = 9
    decode_chunk_size: ChunkSize = 1
    fps: Fps = 16
    variant: Variant = "fp16"

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        own = {"target_fps": round(self.fps), "decode_chunk_size": self.decode_chunk_size}
        return {**super().call_settings(), **own}

    def clip_settings(self) -> ClipSettings:
        """One row at a time: it draws numbers past the rows' own generators."""
        return replace(super().clip_settings(), batch_size=1)
