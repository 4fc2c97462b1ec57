"""BLIP-2."""

from typing import ClassVar

from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register


@register("ImageCaptioner")
class BLIPCaptioner(ImageCaptioner):
    """BLIP-2 on OPT, 2.7 billion weights; reads a picture as 32 tokens.

    Template: https://huggingface.co/docs/transformers/model_doc/blip-2
    """

    prompt_template: ClassVar[str] = "Question: {p} Answer:"

    model_path: ModelPath = "Salesforce/blip2-opt-2.7b"
