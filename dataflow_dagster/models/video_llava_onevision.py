"""LLaVA-OneVision for clips."""

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_captioner import MaxPixels, NumFrames, VideoCaptioner
from dataflow_dagster.registry import register


@register("VideoCaptioner")
class LLaVAOVCaptioner(VideoCaptioner):
    """LLaVA-OneVision on Qwen2, 7 billion weights; reads a frame as 196 tokens.

    Its processor makes every frame a square of 384 pixels.
    Source: https://huggingface.co/llava-hf/llava-onevision-qwen2-7b-ov-hf
    """

    model_path: ModelPath = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
    num_frames: NumFrames = 16
    max_pixels: MaxPixels = 512 * 512
