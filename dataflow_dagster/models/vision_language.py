"""What all models that look at something and write have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.session import Engine, Session
from dataflow_dagster.engines.transformers.processor import check_beforehand
from dataflow_dagster.engines.transformers.session import open_session as open_transformers
from dataflow_dagster.engines.vllm.session import open_session as open_vllm
from dataflow_dagster.models.language_model import LanguageModel, Prompt

_OPENERS = {"vllm": open_vllm, "transformers": open_transformers}


class VisionLanguageModel(LanguageModel):
    """A model that looks at a picture or a clip and writes a text.

    A subclass says what it looks at, and how its prompt is rendered.
    """

    outside_key: ClassVar[frozenset[str]] = LanguageModel.outside_key | {"limit_mm_per_prompt"}

    prompt: Prompt
    limit_mm_per_prompt: dict[Literal["image", "video", "audio"], int] | None = Field(
        None,
        description="media of a prompt to keep memory for (vllm only); default: the one it reads",
    )
    mm_processor_kwargs: dict[str, JsonValue] | None = Field(
        None, description="how the model's processor treats pictures or clips, such as size"
    )

    @field_validator("limit_mm_per_prompt")
    @classmethod
    def _has_room_for_its_medium(cls, limits: Mapping[str, int] | None) -> Mapping[str, int] | None:
        given = limits or {}
        if given.get(cls.reads, 1) < 1 or min(given.values(), default=0) < 0:
            raise ValueError(f"every row has one {cls.reads}, and no limit is below 0; not {given}")
        return limits

    @abstractmethod
    def render(self) -> str:
        """The prompt as the model is given it, with the place of what it looks at."""

    def open_weights(self, engine: Engine, settings: LanguageSettings) -> Session:
        """See `LanguageModel.open_weights`."""
        if "transformers" in self.engines:  # which then can read the processor
            check_beforehand(settings, self.render())
        return _OPENERS[engine.name](engine, settings)

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the prompt stands in it as the model is given it."""
        return {**super().key_settings(), "prompt": self.prompt_in_key()}

    def prompt_in_key(self) -> str:
        """What stands for the prompt in a row's key."""
        return self.render()

    def settings(self, folder: str) -> LanguageSettings:
        """See `LanguageModel.settings`."""
        limits = self.limit_mm_per_prompt or {}
        return replace(
            super().settings(folder),
            medium=self.reads,
            limit_mm_per_prompt={str(medium): most for medium, most in limits.items()},
            mm_processor_kwargs=self.mm_processor_kwargs or {},
        )
