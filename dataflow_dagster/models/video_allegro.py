"""Allegro."""

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.diffusers.clips import ClipSettings
from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_generator import (
    Fps,
    FrameCount,
    Guidance,
    Steps,
    VideoGenerator,
)
from dataflow_dagster.registry import register


@register("VideoGenerator")
class AllegroGenerator(VideoGenerator):
    """Allegro, 3 billion weights; made for 88 frames of 720 x 1280 pixels. Makes 4n frames.

    Source: https://huggingface.co/rhymes-ai/Allegro
    """

    pipeline: ClassVar[str | None] = "AllegroPipeline"

    model_path: ModelPath = "rhymes-ai/Allegro"
    subfolder: str = Field(
        "vae", min_length=1, description="folder of the VAE in model_path; it runs in float32"
    )
    num_frames: FrameCount = 16
    num_inference_steps: Steps = 100
    guidance_scale: Guidance = 7.5
    max_sequence_length: int = Field(512, ge=1, description="tokens the text is padded or cut to")
    fps: Fps = 15
    vae_tiling: bool = Field(True, description="its VAE decodes in no other way")

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        own = {"max_sequence_length": self.max_sequence_length, "clean_caption": False}
        return {**super().call_settings(), **own}

    def clip_settings(self) -> ClipSettings:
        """One row at a time: its VAE's tiles take no more."""
        return replace(super().clip_settings(), vae_folder=self.subfolder, batch_size=1)
