"""What all diffusion models have in common: how they are opened, sped up, and given a text."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dataflow_dagster.engines.checkpoint import check_model_path, revision
from dataflow_dagster.engines.choice import choose
from dataflow_dagster.engines.diffusers.pictures import DrawingSettings, open_session
from dataflow_dagster.engines.diffusers.speed import Speed
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.hub_model import HubModel, ModelPath
from dataflow_dagster.models.language_model import Device, Dtype
from dataflow_dagster.rows import Medium, RowError


class DiffusionModel(HubModel):
    """A pipeline of diffusers that draws a row's text.

    A subclass gives the settings that its pipeline is called with.
    """

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "image"
    asset: ClassVar[str] = "generated_images"
    old_keys: ClassVar[Mapping[str, str]] = {"weight": "width"}
    outside_key: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "cpu_offload", "device", "dtype", "model_path"}
    )
    engines: ClassVar[tuple[str, ...]] = ("diffusers",)

    model_path: ModelPath
    negative_prompt: str | None = Field(
        None, min_length=1, description="what the picture should not show; the same for all rows"
    )
    batch_size: int = Field(1, ge=1, description="pictures drawn together")
    compile: bool = Field(
        False, description="compile the model first: minutes, then faster; changes last bits"
    )
    cpu_offload: bool = Field(
        False, description="keep on the GPU only the part at work; slower, far less memory"
    )
    vae_tiling: bool = Field(
        False, description="decode large pictures in tiles: less memory; seams may show"
    )
    cache: float | None = Field(
        None,
        gt=0,
        le=1,
        description="first-block cache: skip steps that change the first block's output by less "
        "than this share (0.1 is usual); asks for batch_size 1",
    )
    quantization: Literal["int8", "float8", "int4"] | None = Field(
        None, description="store the largest model's weights so; asks for optimum-quanto"
    )
    dtype: Dtype = "auto"
    device: Device = "auto"

    @model_validator(mode="after")
    def _caches_row_by_row(self) -> Self:
        if self.cache is not None and self.batch_size > 1:
            raise ValueError(
                f"cache skips steps for a whole batch at once, so that a row's picture would "
                f"depend on its neighbours; write batch_size: 1, not {self.batch_size}"
            )
        return self

    @abstractmethod
    def call_settings(self) -> dict[str, Any]:
        """What the pipeline is called with beside the rows' texts and seeds; None: its default."""

    def engine(self) -> Engine:
        """See `Model.engine`."""
        return choose(
            self.engines,
            backend="auto",
            device=self.device,
            dtype=self.dtype,
            model_path=self.model_path,
        )

    def request(self, given: Given) -> Request:
        """The row's text as it is."""
        if given.text is None or not given.text.strip():
            raise RowError("empty_text", f"the row's text is {given.text!r}; nothing to draw")
        return Request(given.number, given.seed, given.text)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        check_model_path(self.model_path)
        settings = replace(self._settings(), model_path=self.folder())
        return open_session(engine, settings)

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the weights stand in it by what they are, not where."""
        return {**super().key_settings(), "revision": revision(self.model_path, self.revision)}

    def _settings(self) -> DrawingSettings:
        call = {"negative_prompt": self.negative_prompt, **self.call_settings()}
        return DrawingSettings(
            model_path=self.model_path,
            call={name: value for name, value in call.items() if value is not None},
            batch_size=self.batch_size,
            speed=Speed(
                compile=self.compile,
                cpu_offload=self.cpu_offload,
                vae_tiling=self.vae_tiling,
                cache=self.cache,
                quantization=self.quantization,
            ),
        )
