"""Any video pipeline of diffusers."""

from typing import Any, Final, Self

from pydantic import Field, JsonValue, model_validator

from dataflow_dagster.models.video_generator import PictureMover, VideoGenerator
from dataflow_dagster.registry import register

_OURS: Final = frozenset(
    {"prompt", "image", "generator", "output_type", "return_dict", "num_videos_per_prompt"}
    | {"latents"}
)


class _AnyPipeline(VideoGenerator):
    pipeline_kwargs: dict[str, JsonValue] | None = Field(
        None, description="further arguments of this pipeline's call, such as max_sequence_length"
    )

    @model_validator(mode="after")
    def _leaves_ours_alone(self) -> Self:
        given = self.pipeline_kwargs or {}
        if taken := sorted(set(given) & (_OURS | set(type(self).model_fields))):
            raise ValueError(f"pipeline_kwargs: '{taken[0]}' comes from the row or has its own key")
        return self

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        return {**super().call_settings(), **(self.pipeline_kwargs or {})}


@register("VideoGenerator")
class DiffusersVideoGenerator(_AnyPipeline):
    """Whichever pipeline `model_path` holds that makes clips of texts, such as Wan or LTX.

    A setting left out has that pipeline's own default.
    Pipelines: https://huggingface.co/docs/diffusers/api/pipelines/overview
    """


@register("VideoGenerator")
class DiffusersI2VGenerator(_AnyPipeline, PictureMover):
    """Whichever pipeline `model_path` holds that makes clips of pictures and texts.

    With `height` and `width` the picture's middle is scaled to them; without, it goes as it is.
    Pipelines: https://huggingface.co/docs/diffusers/api/pipelines/overview
    """
