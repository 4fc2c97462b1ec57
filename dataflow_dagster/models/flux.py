"""FLUX.1."""

from dataflow_dagster.models.image_captioner import ModelPath
from dataflow_dagster.models.image_generator import ImageGenerator
from dataflow_dagster.registry import register


@register("ImageGenerator")
class FLUXGenerator(ImageGenerator):
    """FLUX.1 [dev], 12 billion weights; guidance is distilled into them.

    It draws on latents of 8 x 8 pixels packed two by two, hence sizes in steps of 16, which
    diffusers would round down to in silence.
    Source: https://huggingface.co/black-forest-labs/FLUX.1-dev
    """

    model_path: ModelPath = "black-forest-labs/FLUX.1-dev"
