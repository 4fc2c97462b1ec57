"""What works on this machine: each engine is asked for answers that are known."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.engines.choice import LIBRARIES, has_gpu, installed_version

EXAMINATION = "dataflow_dagster.cli.examination"
ENGINES = ("transformers", "vllm", "diffusers")
TIMEOUT_S = 300

_HINTS = (
    (
        "torchvision::nms",
        "torchvision is built for another torch: install the one of your torch's"
        " index (https://pytorch.org/get-started/locally), or uninstall it if vLLM is not used",
    ),
    ("libcuda", "torch is built for CUDA, but no NVIDIA driver is found"),
    (
        "libcudart",
        "two builds for different CUDA versions are mixed: install into a fresh environment",
    ),
    ("out of memory", "the GPU's memory is in use by other programs: see nvidia-smi"),
    (
        "undefined symbol",
        "compiled parts of two versions are mixed: install into a fresh environment",
    ),
    ("No space left", "the disk is full"),
)
"""What an engine's last words mean, and what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One engine on this machine.

    Attributes:
        engine: Its name.
        version: Of its library; None: not installed.
        works: It gave every known answer.
        told: What it did, or what to do.
    """

    engine: str
    version: str | None
    works: bool
    told: str


def examine_all(models: Path) -> Iterator[Finding]:
    """Each engine after the other, in processes of their own.

    Args:
        models: The folder of the known-answer models: ``data/models`` of the source tree.
    """
    for engine in ENGINES:
        version = installed_version(engine)
        if version is None:
            yield Finding(engine, None, works=False, told=_install(engine))
        else:
            yield _examine(engine, version, models)


def machine() -> str:
    """Python, and whether a GPU is seen."""
    gpu = "an NVIDIA GPU" if has_gpu() else "no NVIDIA GPU"
    return f"Python {sys.version.split()[0]}, {gpu}"


def explain(output: str) -> str:
    """The last line an engine said, and what to do about it where that is known."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = lines[-1] if lines else "it ended without a word"
    hint = next((hint for sign, hint in _HINTS if sign.lower() in output.lower()), None)
    return f"{last[:300]}" + (f"\n  {hint}" if hint else "")


def _examine(engine: str, version: str, models: Path) -> Finding:
    command = [sys.executable, "-m", EXAMINATION, engine, str(models)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return Finding(engine, version, works=False, told=f"no answer in {TIMEOUT_S} s")
    said = done.stdout.strip().splitlines()
    if said and "known answers right" in said[-1]:
        return Finding(engine, version, works=done.returncode == 0, told=said[-1])
    return Finding(engine, version, works=False, told=explain(done.stdout + done.stderr))


def _install(engine: str) -> str:
    extra = LIBRARIES[engine].extra
    return f'not installed: pip install "dataflow-dagster[{extra}]"'
