"""What all video generators have in common: the keys of their clips, and what they begin with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.checkpoint import check_model_path
from dataflow_dagster.engines.choice import choose, choose_device
from dataflow_dagster.engines.diffusers.clip_model import open_session
from dataflow_dagster.engines.diffusers.clips import ClipSettings
from dataflow_dagster.engines.diffusers.speed import Speed
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.media.pictures import read_picture
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.diffusion import DiffusionModel
from dataflow_dagster.rows import Medium, RowError

Side = Annotated[
    int | None, Field(ge=8, description="of the clip, in pixels; default: the pipeline's own")
]
FrameCount = Annotated[
    int | None,
    Field(ge=1, description="frames asked for; how many were made stands on the row"),
]
Steps = Annotated[int | None, Field(ge=1, description="denoising steps")]
Guidance = Annotated[
    float | None,
    Field(ge=0, allow_inf_nan=False, description="how closely to follow the text"),
]
Fps = Annotated[
    float,
    Field(ge=0.01, le=240, description="frames a second of the file; of a gif 100 at most"),
]
Variant = Annotated[
    str | None,
    Field(min_length=1, description="which of several precisions to load; null: the plain files"),
]
ChunkSize = Annotated[
    int | None, Field(ge=1, description="frames decoded together; fewer take less memory")
]


class VideoGenerator(DiffusionModel):
    """A diffusion model that makes a clip of a row's text.

    A subclass gives `model_path` a default, and the defaults that its model is usually run with.

    Attributes:
        pipeline: Name of its class in diffusers; None: as the checkpoint says.
        half: The precision on a GPU where `dtype` is ``auto``.
    """

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "video"
    asset: ClassVar[str] = "generated_videos"
    old_keys: ClassVar[Mapping[str, str]] = {
        "num_videos_per_prompt": "repeat_time",
        "weight": "width",
    }
    pipeline: ClassVar[str | None] = None
    half: ClassVar[str] = "bfloat16"

    height: Side = None
    width: Side = None
    num_frames: FrameCount = None
    num_inference_steps: Steps = None
    guidance_scale: Guidance = None
    negative_prompt: str | None = Field(
        None, description="what the clip should not show; the same for all rows; empty: nothing"
    )
    fps: Fps = 8
    variant: Variant = None
    batch_size: int = Field(1, ge=1, description="clips made together")

    def engine(self) -> Engine:
        """See `Model.engine`."""
        dtype = self.dtype
        if dtype == "auto" and choose_device(self.device) == "cuda":
            dtype = self.half
        return choose(
            self.engines,
            backend="auto",
            device=self.device,
            dtype=dtype,
            model_path=self.model_path,
        )

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        check_model_path(self.model_path)
        return open_session(engine, self.clip_settings(), pictures=self.reads == "image")

    def call_settings(self) -> dict[str, Any]:
        """See `DiffusionModel.call_settings`."""
        return {
            "height": self.height,
            "width": self.width,
            "num_frames": self.num_frames,
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": None if self.guidance_scale is None else float(self.guidance_scale),
        }

    def clip_settings(self) -> ClipSettings:
        """How the pipeline is opened and called."""
        call = {"negative_prompt": self.negative_prompt or None, **self.call_settings()}
        return ClipSettings(
            model_path=self.folder(),
            call={name: value for name, value in call.items() if value is not None},
            fps=float(self.fps),
            batch_size=self.batch_size,
            pipeline=self.pipeline,
            variant=self.variant,
            speed=Speed(
                compile=self.compile,
                cpu_offload=self.cpu_offload,
                vae_tiling=self.vae_tiling,
                cache=self.cache,
                quantization=self.quantization,
            ),
        )


class PictureMover(VideoGenerator):
    """A diffusion model that makes a clip of a row's picture, and of its text where it has one."""

    reads: ClassVar[Medium] = "image"
    reads_too: ClassVar[Medium | None] = "text"
    ahead: ClassVar[int] = 8

    prompt: str = Field("", description="the text of rows that have none; literal")

    def request(self, given: Given) -> Request:
        """The row's picture, its middle scaled to `width` x `height`, and its text."""
        if given.image is None:
            raise RowError("missing_image", "the row has no picture to begin with")
        picture = read_picture(Path(given.image))
        if self.height is not None and self.width is not None:
            from PIL import ImageOps

            picture = ImageOps.fit(picture, (self.width, self.height))
        return Request(given.number, given.seed, given.text or self.prompt, picture)
