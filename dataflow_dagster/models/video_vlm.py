"""Any model on the Hub that reads clips, under the chat template that comes with it."""

from dataflow_dagster.models.video_captioner import VideoCaptioner
from dataflow_dagster.registry import register


@register("VideoCaptioner")
class VLMCaptioner(VideoCaptioner):
    """Whichever `model_path` names; no class has to be written for it.

    Templates: https://huggingface.co/docs/transformers/chat_templating_multimodal
    """
