"""Stable Video Diffusion."""

from typing import Any, ClassVar

from pydantic import Field

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_generator import (
    ChunkSize,
    Fps,
    FrameCount,
    PictureMover,
    Side,
    Steps,
    Variant,
)
from dataflow_dagster.registry import register
from dataflow_dagster.rows import Medium


@register("VideoGenerator")
class SVDGenerator(PictureMover):
    """Stable Video Diffusion XT; moves a picture, and reads no text. It is told the `fps`.

    `guidance_scale` is that of the last frame; the first one's is 1.
    Source: https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt
    """

    reads_too: ClassVar[Medium | None] = None
    pipeline: ClassVar[str | None] = "StableVideoDiffusionPipeline"
    half: ClassVar[str] = "float16"

    model_path: ModelPath = "stabilityai/stable-video-diffusion-img2vid-xt"
    height: Side = 576
    width: Side = 1024
    num_frames: FrameCount = 25
    num_inference_steps: Steps = 25
    decode_chunk_size: ChunkSize = 8
    motion_bucket_id: int = Field(127, ge=0, le=255, description="how much moves")
    noise_aug_strength: float = Field(
        0.02, ge=0, allow_inf_nan=False, description="noise on the picture: more of it, more moves"
    )
    fps: Fps = 7
    variant: Variant = "fp16"

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        call = super().call_settings()
        scale = call.pop("guidance_scale")
        return {
            **call,
            "max_guidance_scale": scale,
            "fps": round(self.fps),
            "decode_chunk_size": self.decode_chunk_size,
            "motion_bucket_id": self.motion_bucket_id,
            "noise_aug_strength": float(self.noise_aug_strength),
        }
