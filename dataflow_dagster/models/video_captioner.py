"""What all video captioners have in common: which frames of a clip are looked at."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from dataflow_dagster.engines.frames import FramesTold
from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.engines.transformers.chat_template import render_chat
from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.media.timecodes import seconds_of
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.image_captioner import MOST_UNLIKE_SIDES
from dataflow_dagster.models.language_model import Prompt
from dataflow_dagster.models.vision_language import VisionLanguageModel
from dataflow_dagster.rows import Medium, RowError

MaxPixels = Annotated[
    int | None,
    Field(ge=28 * 28, description="pixels a frame is scaled down to at most; null: as it is"),
]
NumFrames = Annotated[
    int,
    Field(ge=1, le=4096, description="frames looked at, evenly spaced from the first to the last"),
]


class VideoCaptioner(VisionLanguageModel):
    """A vision-language model that says what happens in a clip.

    Its prompt stands in the chat template of the checkpoint. A subclass gives `model_path` a
    default, and how many frames of which size its model takes.
    """

    reads: ClassVar[Medium] = "video"
    asset: ClassVar[str] = "video_captions"
    code_version: ClassVar[int] = 2
    ahead: ClassVar[int] = 8

    prompt: Prompt = "Please describe the video in detail."
    num_frames: NumFrames = 64
    fps: float | None = Field(
        None,
        gt=0,
        le=240,
        description="frames of a second of the clip, where that is no more than num_frames in all",
    )
    max_pixels: MaxPixels = 224 * 224
    start_key: str | None = Field(
        "start", min_length=1, description="column of the time from which to look; null: none"
    )
    end_key: str | None = Field(
        "end", min_length=1, description="column of the time up to which to look; null: none"
    )

    def columns(self) -> tuple[str, ...]:
        """See `Model.columns`."""
        return tuple(key for key in (self.start_key, self.end_key) if key is not None)

    def request(self, given: Given) -> Request:
        """Frames of the row's clip; the session puts the prompt into its template, once."""
        if given.video is None:
            raise RowError("missing_video", "the row has no clip to describe")
        choice = FrameChoice(self.num_frames, self.fps, self.max_pixels)
        start = _seconds(given.columns, self.start_key, "start_key")
        end = _seconds(given.columns, self.end_key, "end_key")
        frames = read_frames(Path(given.video), choice, start, end)
        _, height, width, _ = frames.pixels.shape
        if max(width, height) > MOST_UNLIKE_SIDES * min(width, height):
            raise RowError(
                "picture_too_narrow",
                f"{given.video}: {width}x{height}; one side may be {MOST_UNLIKE_SIDES} times the "
                "other at most",
            )
        return Request(given.number, given.seed, self.prompt, frames=frames)

    def render(self) -> str:
        """The prompt and a clip as one user's turn.

        Raises:
            UnfitSettingError: The checkpoint has no template, or one without place for a clip.
        """
        trust = self.trust_remote_code
        return render_chat(self.folder(), self.prompt, self.reads, trust_remote_code=trust)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        return FramesTold(super().open(engine), self.render())

    def prompt_in_key(self) -> str:
        """See `VisionLanguageModel.prompt_in_key`."""
        return self.prompt  # the template is among the files that the revision stands for

    def settings(self, folder: str) -> LanguageSettings:
        """See `LanguageModel.settings`."""
        told = replace(super().settings(folder), add_special_tokens=False)
        # Rows kept ready hold their frames: a hundred of them would be gigabytes.
        return replace(told, batch_size=min(told.batch_size, MOST_READY))


MOST_READY = 8


def _seconds(columns: Mapping[str, Any], key: str | None, named_by: str) -> float | None:
    """A time of the clip; None where the row says nothing.

    Raises:
        RowError: ``bad_value``: no time of a clip.
    """
    value = None if key is None else columns.get(key)
    if value is None or value == "":
        return None
    try:
        return seconds_of(value)
    except ValueError as wrong:
        said = f"column '{key}' is {repr(value)[:80]}; allowed: seconds, 0 or more, or HH:MM:SS"
        hint = f"where it tells something else, {named_by}: null leaves it out"
        raise RowError("bad_value", f"{said}; {hint}") from wrong
