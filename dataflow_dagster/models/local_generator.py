"""Texts by a language model on this machine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from dataflow_dagster.engines import vllm
from dataflow_dagster.engines.checkpoint import check_model_path, revision
from dataflow_dagster.engines.choice import choose
from dataflow_dagster.engines.language import LanguageSettings, Sampling
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.engines.text_checkpoint import open_transformers, render_text_chat
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.hub_model import HubModel, ModelPath
from dataflow_dagster.models.image_captioner import Device, Dtype
from dataflow_dagster.models.text_api import Stop
from dataflow_dagster.models.text_generator import TextGenerator, text_of, under_prompt
from dataflow_dagster.registry import register

_OPENERS = {"vllm": vllm.open_session, "transformers": open_transformers}


@register("TextGenerator")
class LocalModelGenerator(HubModel, TextGenerator):
    """Any language model of the Hub; by default Qwen2.5, 1.5 billion weights.

    It continues `prompt`, a line break and the row's text as they are; ``chat_template: true``
    makes them a user's turn, as instruction-tuned models were trained.
    Source: https://huggingface.co/Qwen/Qwen2.5-1.5B-Instruct
    """

    old_keys: ClassVar[Mapping[str, str]] = {"n": "repeat_time"}
    outside_key: ClassVar[frozenset[str]] = frozenset(
        {
            "backend",
            "batch_size",
            "device",
            "download_dir",
            "dtype",
            "gpu_memory_utilization",
            "max_num_seqs",
            "model_path",
            "tensor_parallel_size",
            "trust_remote_code",
        }
    )
    engines: ClassVar[tuple[str, ...]] = ("vllm", "transformers")

    model_path: ModelPath = "Qwen/Qwen2.5-1.5B-Instruct"
    download_dir: str | None = Field(
        None, min_length=1, description="folder for weights from the Hub; default: the Hub's cache"
    )
    prompt: str = Field(
        "", description="stands above the row's text, with a line break; literal, braces included"
    )
    chat_template: bool = Field(
        False, description="put prompt and text as a user's turn into the model's chat template"
    )
    temperature: float = Field(0.75, ge=0, le=2, description="0 takes the likeliest token")
    top_p: float = Field(1, gt=0, le=1, description="keep the likeliest tokens up to this share")
    top_k: int = Field(-1, ge=-1, description="keep so many likeliest tokens; 0 or -1: all")
    min_p: float = Field(
        0, ge=0, le=1, description="drop tokens below this share of the likeliest one"
    )
    repetition_penalty: float = Field(
        1, gt=0, le=2, description="lowers tokens seen in the prompt or the answer; 1: off"
    )
    presence_penalty: float = Field(
        0, ge=-2, le=2, description="taken off tokens that the answer has already; 0: off"
    )
    frequency_penalty: float = Field(
        0, ge=-2, le=2, description="the same, as often as they stand in it; 0: off"
    )
    stop: Stop = None
    max_tokens: int = Field(256, ge=1, description="longest answer in tokens")
    max_model_len: int | None = Field(
        None, ge=2, description="most tokens of prompt and answer; default: the model's"
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
        1, ge=1, description="GPUs one copy of the model is split over"
    )
    gpu_memory_utilization: float | None = Field(
        None, gt=0, le=1, description="share of the GPU's memory to use; default: the engine's"
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

    def request(self, given: Given) -> Request:
        """The row's text under the prompt, in the chat template if that is wanted."""
        prompt = under_prompt(self.prompt, text_of(given))
        if self.chat_template:
            folder = self.folder()
            prompt = render_text_chat(folder, prompt, trust_remote_code=self.trust_remote_code)
        return Request(given.number, given.seed, prompt)

    def open(self, engine: Engine) -> Session:
        """See `Model.open`."""
        check_model_path(self.model_path)
        settings = replace(self._settings(), model_path=self.folder())
        return _OPENERS[engine.name](engine, settings)

    def kept_in(self) -> str | None:
        """See `HubModel.kept_in`."""
        return self.download_dir

    def key_settings(self) -> dict[str, Any]:
        """See `Model.key_settings`; the weights stand in it by what they are, not where."""
        return {**super().key_settings(), "revision": revision(self.model_path, self.revision)}

    def _settings(self) -> LanguageSettings:
        return LanguageSettings(
            model_path=self.model_path,
            sampling=self._sampling(),
            trust_remote_code=self.trust_remote_code,
            tensor_parallel_size=self.tensor_parallel_size,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            batch_size=self.batch_size or 16,
            gpu_memory_utilization=self.gpu_memory_utilization,
            add_special_tokens=not self.chat_template,
        )

    def _sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            repetition_penalty=self.repetition_penalty,
            max_tokens=self.max_tokens,
            min_p=self.min_p,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            stop=_as_tuple(self.stop),
        )


def _as_tuple(stop: str | list[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())
