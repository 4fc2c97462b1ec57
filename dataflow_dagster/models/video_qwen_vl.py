"""Qwen2-VL for clips."""

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_captioner import VideoCaptioner
from dataflow_dagster.registry import register


@register("VideoCaptioner", aliases=("Qwen2VLCaptioner",))
class QwenVLCaptioner(VideoCaptioner):
    """Qwen2-VL, 7 billion weights; reads two frames as a token for every 28 x 28 pixels.

    64 frames of 224 x 224 pixels are some 2000 tokens; `max_pixels` is Dataflow-Gen's.
    Source: https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct
    """

    model_path: ModelPath = "Qwen/Qwen2-VL-7B-Instruct"
