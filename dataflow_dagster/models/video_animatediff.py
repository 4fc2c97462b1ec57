"""AnimateDiff."""

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.checkpoint import revision
from dataflow_dagster.engines.diffusers.clips import ClipSettings
from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_generator import (
    ChunkSize,
    FrameCount,
    Guidance,
    Steps,
    VideoGenerator,
)
from dataflow_dagster.registry import register


@register("VideoGenerator")
class AnimateDiffGenerator(VideoGenerator):
    """Any Stable Diffusion 1.5, moved by an adapter; made for 16 frames.

    Source: https://huggingface.co/guoyww/animatediff-motion-adapter-v1-5-2
    """

    outside_key: ClassVar[frozenset[str]] = VideoGenerator.outside_key | {"motion_adapter"}
    pipeline: ClassVar[str | None] = "AnimateDiffPipeline"
    half: ClassVar[str] = "float16"

    model_path: ModelPath = "emilianJR/epiCRealism"
    motion_adapter: str | None = Field(
        "guoyww/animatediff-motion-adapter-v1-5-2",
        min_length=1,
        description="folder of the adapter, or a name on the Hub; null: model_path has it",
    )
    num_frames: FrameCount = 16
    num_inference_steps: Steps = 59
    guidance_scale: Guidance = 7.5
    decode_chunk_size: ChunkSize = None

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        return {**super().call_settings(), "decode_chunk_size": self.decode_chunk_size}

    def clip_settings(self) -> ClipSettings:
        """See `VideoGenerator.clip_settings`."""
        return replace(super().clip_settings(), motion_adapter=self.motion_adapter)

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the adapter stands in it by what it is, not where."""
        adapter = None if self.motion_adapter is None else revision(self.motion_adapter)
        return {**super().key_settings(), "adapter_revision": adapter}
