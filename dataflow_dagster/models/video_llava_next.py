"""LLaVA-NeXT-Video."""

from dataflow_dagster.models.hub_model import ModelPath
from dataflow_dagster.models.video_captioner import MaxPixels, NumFrames, VideoCaptioner
from dataflow_dagster.registry import register


@register("VideoCaptioner", aliases=("LlavaNextVideoCaptioner",))
class LLaVANeXTVideoCaptioner(VideoCaptioner):
    """LLaVA-NeXT-Video on Vicuna, 7 billion weights; reads a frame as 144 tokens.

    It was trained with 32 frames a clip. Its 10,240 tokens, Vicuna's 4096 times the factor 2.5 of
    its linear RoPE, are those of some 70; its processor takes the middle square of every frame,
    336 pixels wide.
    Source: https://huggingface.co/llava-hf/LLaVA-NeXT-Video-7B-hf (README and config.json)
    """

    model_path: ModelPath = "llava-hf/LLaVA-NeXT-Video-7B-hf"
    num_frames: NumFrames = 32
    max_pixels: MaxPixels = 512 * 512
