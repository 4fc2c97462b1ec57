"""What makes a pipeline of diffusers faster or smaller, each only where it is asked for."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster.engines.session import Engine


@dataclass(frozen=True, slots=True)
class Speed:
    """See `DiffusionModel` for the meanings."""

    compile: bool = False
    cpu_offload: bool = False
    vae_tiling: bool = False
    cache: float | None = None
    quantization: str | None = None


def loading(model_path: str, engine: Engine, speed: Speed) -> dict[str, Any]:
    """The arguments of ``from_pretrained`` that `speed` asks for.

    Raises:
        EngineMissingError: optimum-quanto is not installed.
        UnfitSettingError: A setting that this device cannot honour.
    """
    if speed.cpu_offload and engine.device == "cpu":
        raise UnfitSettingError("cpu_offload", given=True, allowed="the device is 'cpu'")
    if speed.quantization is None:
        return {}
    if find_spec("optimum") is None or find_spec("optimum.quanto") is None:
        raise EngineMissingError(
            f"config key 'quantization': '{speed.quantization}' needs optimum-quanto: "
            "pip install optimum-quanto"
        )
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig
    from diffusers.quantizers.quantization_config import QuantoConfig

    parts: Any = DiffusionPipeline.load_config(model_path)
    part = "transformer" if "transformer" in parts else "unet"
    stored = QuantoConfig(weights_dtype=speed.quantization)
    # quant_backend="quanto" is refused where transformers is installed too.
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping={part: stored})}


def place(pipeline: Any, engine: Engine, speed: Speed) -> Any:
    """The pipeline on its device, with all that `speed` asks for.

    Raises:
        UnfitSettingError: A setting that this pipeline has no part for.
    """
    if speed.vae_tiling:
        _call(getattr(pipeline, "vae", None), "vae_tiling", "enable_tiling", given=True)
    if speed.cache is not None:
        _cache(_denoiser(pipeline), speed.cache)
    if speed.cpu_offload:
        pipeline.enable_model_cpu_offload()
    else:
        pipeline = pipeline.to(engine.device)
    if speed.compile:
        _compile(_denoiser(pipeline))
    return pipeline


def _cache(denoiser: Any, threshold: float) -> None:
    from diffusers.hooks.first_block_cache import FirstBlockCacheConfig

    config = FirstBlockCacheConfig(threshold=threshold)
    _call(denoiser, "cache", "enable_cache", config, given=threshold)


def _call(part: Any, setting: str, method: str, *arguments: Any, given: object) -> None:
    """Call the part's method.

    Raises:
        UnfitSettingError: It has none.
    """
    if not hasattr(part, method):
        kind = "this pipeline" if part is None else type(part).__name__
        raise UnfitSettingError(setting, given, f"{kind} has no {method}; leave it out")
    getattr(part, method)(*arguments)


def _compile(denoiser: Any) -> None:
    """Block by block where the model names its blocks, which compiles one of each kind."""
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks()
    else:
        denoiser.compile()


def _denoiser(pipeline: Any) -> Any:
    """The part that runs at every step."""
    denoiser = getattr(pipeline, "transformer", None)
    return getattr(pipeline, "unet", None) if denoiser is None else denoiser
