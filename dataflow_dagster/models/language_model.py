"""What all models that write text on this machine have in common: keys, engines, sampling."""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from dataflow_dagster.engines.checkpoint import check_model_path, revision
from dataflow_dagster.engines.choice import choose
from dataflow_dagster.engines.language import LanguageSettings, Sampling
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
Temperature = Annotated[float, Field(ge=0, le=2, description="0 takes the likeliest token")]
TopP = Annotated[float, Field(gt=0, le=1, description="keep the likeliest tokens up to this share")]
TopK = Annotated[int, Field(ge=-1, description="keep so many likeliest tokens; 0 or -1: all")]
RepetitionPenalty = Annotated[
    float,
    Field(gt=0, le=2, description="lowers tokens seen in the prompt or the answer; 1: off"),
]
MaxTokens = Annotated[int, Field(ge=1, description="longest answer in tokens")]


class LanguageModel(HubModel):
    """A model with weights of its own that writes a text, in vLLM or in transformers.

    A subclass says what it reads, what the prompt is, and which session opens its weights.

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
            "max_num_seqs",
            "model_path",
            "tensor_parallel_size",
            "trust_remote_code",
        }
    )
    engines: ClassVar[tuple[str, ...]] = ("vllm", "transformers")

    model_path: ModelPath
    temperature: Temperature = 0.6
    top_p: TopP = 0.9
    top_k: TopK = 50
    repetition_penalty: RepetitionPenalty = 1.2
    max_tokens: MaxTokens = 256
    max_model_len: int | None = Field(
        None,
        ge=2,
        description="most tokens of prompt, medium and answer; default: the model's",
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
    dtype: Dtype = "auto"
    device: Device = "auto"
    backend: Literal["auto", "vllm", "transformers"] = Field(
        "auto", description="auto: vllm where it is installed, else transformers"
    )
    trust_remote_code: bool = Field(
        False, description="run Python code that comes with the weights"
    )

    def engine(self) -> Engine:
        """See `Model.engine`."""
        return choose(
            self.engines,
            backend=self.backend,
            device=self.device,
            dtype=self.dtype,
            model_path=self.model_path,
        )

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        check_model_path(self.model_path)
        return self.open_weights(engine, self.settings(self.folder()))

    @abstractmethod
    def open_weights(self, engine: Engine, settings: LanguageSettings) -> Session:
        """Load the weights in `settings.model_path` into an engine."""

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the weights stand in it by what they are, not where."""
        return {**super().key_settings(), "revision": revision(self.model_path, self.revision)}

    def settings(self, folder: str) -> LanguageSettings:
        """What the engine is told of the weights in `folder`."""
        return LanguageSettings(
            model_path=folder,
            sampling=self.sampling(),
            trust_remote_code=self.trust_remote_code,
            tensor_parallel_size=self.tensor_parallel_size,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            batch_size=self.batch_size or 16,
            gpu_memory_utilization=self.gpu_memory_utilization,
            quantization=self.quantization,
        )

    def sampling(self) -> Sampling:
        """How tokens are drawn."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            repetition_penalty=self.repetition_penalty,
            max_tokens=self.max_tokens,
        )
