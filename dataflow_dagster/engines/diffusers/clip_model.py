"""A video pipeline of diffusers, loaded and made ready."""

from importlib import import_module
from pathlib import Path
from typing import Any

from dataflow_dagster.engines.diffusers.calls import (
    check_call,
    quiet_libraries,
    quiet_pipeline,
    taken_by,
)
from dataflow_dagster.engines.diffusers.clips import ClipSettings, VideoSession
from dataflow_dagster.engines.diffusers.speed import loading, place
from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Engine


def open_session(engine: Engine, settings: ClipSettings, *, pictures: bool) -> VideoSession:
    """Load the pipeline onto the engine's device; minutes for billions of weights.

    Args:
        engine: Says where, and at which precision.
        settings: Of the step.
        pictures: Rows bring a picture each.

    Raises:
        EngineMissingError: A setting needs a library that is not installed.
        UnfitSettingError: A setting that this pipeline, or the device, does not take.
    """
    quiet_libraries()
    pipeline = _load(engine, settings)
    needed = ("generator", "output_type", *(("image",) if pictures else ("prompt",)))
    check_call(pipeline, settings.call, needed)
    if not pictures and "image" in taken_by(pipeline) and _must_have(pipeline, "image"):
        name = type(pipeline).__name__
        raise UnfitSettingError("model_path", name, "it begins with a picture, not with a text")
    quiet_pipeline(pipeline)
    _show_text_model(pipeline)
    pipeline = place(pipeline, engine, settings.speed)
    _fit_tiles(pipeline, settings)
    return VideoSession(pipeline, settings)


def _load(engine: Engine, settings: ClipSettings) -> Any:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_allegro import AutoencoderKLAllegro
    from diffusers.models.unets.unet_motion_model import MotionAdapter

    _check_variant(settings)
    dtype = getattr(torch, engine.precision)
    parts: dict[str, Any] = loading(settings.model_path, engine, settings.speed)
    if settings.vae_folder is not None:
        parts["vae"] = AutoencoderKLAllegro.from_pretrained(
            settings.model_path, subfolder=settings.vae_folder, dtype=torch.float32
        )
    if settings.motion_adapter is not None:
        parts["motion_adapter"] = MotionAdapter.from_pretrained(
            settings.motion_adapter, dtype=dtype
        )
        parts["scheduler"] = _motion_scheduler(settings.model_path)
    kind: Any = getattr(import_module("diffusers"), settings.pipeline or "DiffusionPipeline")
    return kind.from_pretrained(settings.model_path, dtype=dtype, variant=settings.variant, **parts)


def _motion_scheduler(model_path: str) -> Any:
    """As AnimateDiff was trained.

    Source: https://huggingface.co/docs/diffusers/api/pipelines/animatediff
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler.from_pretrained(
        model_path,
        subfolder="scheduler",
        clip_sample=False,
        timestep_spacing="linspace",
        beta_schedule="linear",
        steps_offset=1,
    )


def _check_variant(settings: ClipSettings) -> None:
    folder, variant = Path(settings.model_path), settings.variant
    if variant is None or not folder.is_dir():
        return
    if not any(folder.rglob(f"*.{variant}.*")) and not any(folder.rglob(f"*.{variant}-*")):
        raise UnfitSettingError(
            "variant", variant, f"{folder} holds no such files; write variant: null"
        )


def _show_text_model(pipeline: Any) -> None:
    """Let CLIP be found where I2VGen-XL looks for it: transformers 5 has done away with the place.

    Set past torch, which would take the encoder for a part of itself.
    """
    encoder: Any = getattr(pipeline, "text_encoder", None)
    if hasattr(encoder, "final_layer_norm") and not hasattr(encoder, "text_model"):
        object.__setattr__(encoder, "text_model", encoder)


def _must_have(pipeline: Any, parameter: str) -> bool:
    return taken_by(pipeline)[parameter].default is taken_by(pipeline)[parameter].empty


def _fit_tiles(pipeline: Any, settings: ClipSettings) -> None:
    """Let the tiles of Allegro's VAE cover the clip, which it decodes in no other way.

    They have fixed places, and what lies beside them stays grey: at 720 x 1280 all clips of fewer
    than 24 frames. Along an axis on which they do not come out even, one takes all.
    """
    vae: Any = getattr(pipeline, "vae", None)
    if type(vae).__name__ != "AutoencoderKLAllegro":
        return
    own = pipeline.transformer.config
    time, space = pipeline.vae_scale_factor_temporal, pipeline.vae_scale_factor_spatial
    clip = (
        settings.call.get("num_frames") or own.sample_frames * time,
        settings.call.get("height") or own.sample_height * space,
        settings.call.get("width") or own.sample_width * space,
    )
    tiles = zip(clip, vae.kernel, vae.stride, strict=True)
    fitted = [
        (tile, stride) if size >= tile and (size - tile) % stride == 0 else (size, size)
        for size, tile, stride in tiles
    ]
    vae.kernel, vae.stride = (tuple(side) for side in zip(*fitted, strict=True))
