"""What all models that look at something and write have in common: keys, engines, sampling."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from dataflow_dagster.engines import transformers, vllm
from dataflow_dagster.engines.checkpoint import check_model_path, revision
from dataflow_dagster.engines.choice import choose
from dataflow_dagster.engines.language import LanguageSettings, Sampling
from dataflow_dagster.engines.processor import check_beforehand
from dataflow_dagster.engines.session import Engine, Session
from dataflow_dagster.models.hub_model import HubModel, ModelPath
from dataflow_dagster.rows import Medium

Prompt = Annotated[str, Field(description="what the model is asked; literal, braces included")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Field(description="auto: cuda where an NVIDIA GPU is found, else cpu"),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    Field(description="auto: float32 on cpu, the weights' own precision on cuda"),
]

_OPENERS = {"vllm": vllm.open_session, "transformers": transformers.open_session}


class VisionLanguageModel(HubModel):
    """A model that looks at a picture or a clip and writes a text.

    A subclass says what it looks at, and how its prompt is rendered.

    Attributes:
        engines: Those that serve the model, the preferred one first.
    """

    writes: ClassVar[Medium] = "text"
    outside_key: ClassVar[frozenset[str]] = frozenset(
        {
            "backend",
            "batch_size",
            "device",
            "dtype",
            "gpu_memory_utilization",
            "limit_mm_per_prompt",
            "max_num_seqs",
            "model_path",
            "tensor_parallel_size",
            "trust_remote_code",
        }
    )
    engines: ClassVar[tuple[str, ...]] = ("vllm", "transformers")

    model_path: ModelPath
    prompt: Prompt
    temperature: float = Field(0.6, ge=0, le=2, description="0 takes the likeliest token")
    top_p: float = Field(0.9, gt=0, le=1, description="keep the likeliest tokens up to this share")
    top_k: int = Field(50, ge=-1, description="keep so many likeliest tokens; 0 or -1: all")
    repetition_penalty: float = Field(
        1.2, gt=0, le=2, description="lowers tokens seen in the prompt or the answer; 1: off"
    )
    max_tokens: int = Field(256, ge=1, description="longest answer in tokens")
    max_model_len: int | None = Field(
        None, ge=2, description="most tokens of prompt, medium and answer; default: the model's"
    )
    max_num_seqs: int = Field(
        128, ge=1, description="most rows generated at once (transformers: bounds batch_size)"
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="default 16; transformers: rows generated together; "
        "vllm: rows kept ready beyond max_num_seqs",
    )
    tensor_parallel_size: int = Field(
        1,
        ge=1,
        description="GPUs one copy of the model is split over; "
        "transformers: its layers lie on at most so many",
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="share of the GPU's memory to use; default: the engine's"
    )
    quantization: str | None = Field(
        None, min_length=1, description="how to quantize the weights, such as fp8 (vllm only)"
    )
    limit_mm_per_prompt: dict[Literal["image", "video", "audio"], int] | None = Field(
        None,
        description="media of a prompt to keep memory for (vllm only); default: the one it reads",
    )
    mm_processor_kwargs: dict[str, JsonValue] | None = Field(
        None, description="how the model's processor treats pictures or clips, such as size"
    )
    dtype: Dtype = "auto"
    device: Device = "auto"
    backend: Literal["auto", "vllm", "transformers"] = Field(
        "auto", description="auto: vllm where it is installed, else transformers"
    )
    trust_remote_code: bool = Field(
        False, description="run Python code that comes with the weights"
    )

    @field_validator("limit_mm_per_prompt")
    @classmethod
    def _has_room_for_its_medium(cls, limits: Mapping[str, int] | None) -> Mapping[str, int] | None:
        given = limits or {}
        if given.get(cls.reads, 1) < 1 or min(given.values(), default=0) < 0:
            raise ValueError(f"every row has one {cls.reads}, and no limit is below 0; not {given}")
        return limits

    def engine(self) -> Engine:
        """See `Model.engine`."""
        return choose(
            self.engines,
            backend=self.backend,
            device=self.device,
            dtype=self.dtype,
            model_path=self.model_path,
        )

    @abstractmethod
    def render(self) -> str:
        """The prompt as the model is given it, with the place of what it looks at."""

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        check_model_path(self.model_path)
        settings = replace(self._settings(), model_path=self.folder())
        if "transformers" in self.engines:  # which then can read the processor
            check_beforehand(settings, self.render())
        return _OPENERS[engine.name](engine, settings)

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the weights stand in it by what they are, not where."""
        return {
            **super().key_settings(),
            "prompt": self._prompt_in_key(),
            "revision": revision(self.model_path, self.revision),
        }

    def _limits(self) -> dict[str, int]:
        given = self.limit_mm_per_prompt or {}
        return {str(medium): most for medium, most in given.items()}

    def _prompt_in_key(self) -> str:
        return self.render()

    def _settings(self) -> LanguageSettings:
        return LanguageSettings(
            model_path=self.model_path,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                repetition_penalty=self.repetition_penalty,
                max_tokens=self.max_tokens,
            ),
            trust_remote_code=self.trust_remote_code,
            tensor_parallel_size=self.tensor_parallel_size,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            batch_size=self.batch_size or 16,
            gpu_memory_utilization=self.gpu_memory_utilization,
            quantization=self.quantization,
            medium=self.reads,
            limit_mm_per_prompt=self._limits(),
            mm_processor_kwargs=self.mm_processor_kwargs or {},
        )
