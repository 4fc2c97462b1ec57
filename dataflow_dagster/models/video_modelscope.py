"""ModelScope's text-to-video."""

from typing import ClassVar

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_generator import (
    FrameCount,
    Guidance,
    Steps,
    Variant,
    VideoGenerator,
)
from dataflow_dagster.registry import register


@register("VideoGenerator")
class ModelScopeT2VGenerator(VideoGenerator):
    """ModelScope's text-to-video, 1.7 billion weights.

    Source: https://huggingface.co/damo-vilab/text-to-video-ms-1.7b
    """

    pipeline: ClassVar[str | None] = "TextToVideoSDPipeline"
    half: ClassVar[str] = "float16"

    model_path: ModelPath = "damo-vilab/text-to-video-ms-1.7b"
    num_frames: FrameCount = 16
    num_inference_steps: Steps = 50
    guidance_scale: Guidance = 9
    variant: Variant = "fp16"
