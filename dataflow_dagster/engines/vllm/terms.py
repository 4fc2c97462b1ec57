"""Our requests and settings in vLLM's terms, and its answers in ours."""

from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.engines.blame import Blame
from dataflow_dagster.engines.errors import EngineDiedError
from dataflow_dagster.engines.frames import on_a_clock
from dataflow_dagster.engines.language import LanguageSettings, tidy, too_long
from dataflow_dagster.engines.session import Answer, Engine, Request
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams


SMALLER: Final = (
    "config keys max_model_len, max_num_seqs, quantization and, over several GPUs, "
    "tensor_parallel_size; gpu_memory_utilization gives more where no other program uses the GPU, "
    "and must be less where one does"
)
"""What to turn where vLLM's memory does not suffice."""


def engine_arguments(engine: Engine, settings: LanguageSettings) -> dict[str, Any]:
    """The arguments of vLLM's EngineArgs."""
    arguments: dict[str, Any] = {
        "model": settings.model_path,
        "dtype": engine.precision,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "trust_remote_code": settings.trust_remote_code,
        # Memory for a modality that is not named would be kept for 999 of it.
        "limit_mm_per_prompt": {
            "image": int(settings.medium == "image"),
            "video": int(settings.medium == "video"),
            **settings.limit_mm_per_prompt,
        },
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "enforce_eager": engine.device == "cpu",  # compiling costs minutes there
    }
    if engine.device == "cpu":
        # A seeded row whose prompt is worked off in two parts ends vLLM 0.32 there: it sets the
        # row's generator back in between ("CPU Generator does not use offset").
        arguments["enable_chunked_prefill"] = False
    for key in ("gpu_memory_utilization", "quantization", "mm_processor_kwargs"):
        if given := getattr(settings, key):
            arguments[key] = given
    return arguments


def sampling_parameters(request: Request, settings: LanguageSettings) -> "SamplingParams":
    """The same law in vLLM, seeded by the row; only the finished answer is reported."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    wanted = settings.sampling
    return SamplingParams(
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        repetition_penalty=wanted.repetition_penalty,
        max_tokens=wanted.max_tokens,
        min_p=wanted.min_p,
        presence_penalty=wanted.presence_penalty,
        frequency_penalty=wanted.frequency_penalty,
        stop=list(wanted.stop),
        stop_token_ids=list(wanted.stop_token_ids),
        min_tokens=wanted.min_tokens,
        ignore_eos=wanted.ignore_eos,
        skip_special_tokens=wanted.skip_special_tokens,
        include_stop_str_in_output=wanted.include_stop_str_in_output,
        seed=request.seed,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def prompt_of(request: Request) -> Any:
    """What vLLM's `generate` takes."""
    if request.frames is not None:
        clock = {**on_a_clock(request.frames), "do_sample_frames": False}
        clip = (request.frames.pixels, clock)
        return {"prompt": request.prompt, "multi_modal_data": {"video": clip}}
    if request.picture is None:
        return {"prompt": request.prompt}
    return {"prompt": request.prompt, "multi_modal_data": {"image": request.picture}}


def tokenization(settings: LanguageSettings) -> dict[str, Any]:
    """How vLLM turns prompts into tokens."""
    return {"add_special_tokens": settings.add_special_tokens}


def read_output(output: "RequestOutput") -> Answer | RowError:
    """The finished answer of one request."""
    done = output.outputs[0]
    if done.finish_reason not in {"stop", "length"}:
        return RowError("refused", f"the engine gave the row up: {done.finish_reason}")
    details = {
        "prompt_tokens": len(output.prompt_token_ids or ()),
        "completion_tokens": len(done.token_ids),
        "finish_reason": done.finish_reason,
    }
    return Answer(text=tidy(done.text), details=details)


def refusal(fault: Exception, limit: int, blame: Blame) -> RowError:
    """The row's error for a request that vLLM refused; `limit` is the model's, in tokens.

    Raises:
        EngineDiedError: The engine is dead.
        Exception: `fault` itself, where the engine is at fault.
    """
    from vllm.exceptions import VLLMClientError, VLLMServerError

    if isinstance(fault, VLLMServerError):
        raise EngineDiedError(f"vLLM's engine has died; its log says why. For memory: {SMALLER}")
    message = str(fault)
    if "maximum context length" in message or "maximum model length" in message:
        return too_long(limit)
    if isinstance(fault, VLLMClientError):
        return RowError("refused", f"the engine refused it: {message}")
    return blame.row_error(fault)
