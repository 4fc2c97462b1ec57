"""CogVideoX."""

from typing import ClassVar

from pydantic import Field

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_generator import (
    FrameCount,
    Guidance,
    PictureMover,
    Side,
    Steps,
    VideoGenerator,
)
from dataflow_dagster.registry import register

_TILING = "decode large clips in tiles: less memory; seams may show"


@register("VideoGenerator")
class CogVideoXGenerator(PictureMover):
    """CogVideoX, 5 billion weights; moves a picture as a text says. Makes 4n + 1 frames.

    Source: https://huggingface.co/THUDM/CogVideoX-5b-I2V
    """

    pipeline: ClassVar[str | None] = "CogVideoXImageToVideoPipeline"

    model_path: ModelPath = "THUDM/CogVideoX-5b-I2V"
    height: Side = 480
    width: Side = 720
    num_frames: FrameCount = 49
    num_inference_steps: Steps = 50
    guidance_scale: Guidance = 6
    vae_tiling: bool = Field(True, description=_TILING)


@register("VideoGenerator")
class CogVideoXT2VGenerator(VideoGenerator):
    """CogVideoX, 2 billion weights; makes 4n + 1 frames.

    Source: https://huggingface.co/THUDM/CogVideoX-2b
    """

    pipeline: ClassVar[str | None] = "CogVideoXPipeline"

    model_path: ModelPath = "THUDM/CogVideoX-2b"
    num_frames: FrameCount = 49
    num_inference_steps: Steps = 50
    guidance_scale: Guidance = 6
    vae_tiling: bool = Field(True, description=_TILING)
