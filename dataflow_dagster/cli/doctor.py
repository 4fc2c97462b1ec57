"""What works on this machine: each engine is asked for answers that are known."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.engines.choice import (
    LIBRARIES,
    has_gpu,
    installed_distributions,
    installed_version,
)
from dataflow_dagster.engines.errors import installing

EXAMINATION = "dataflow_dagster.cli.examination"
ENGINES = ("transformers", "vllm", "diffusers")
TIMEOUT_S = 300
WITHOUT_MODELS = (
    "The known-answer models are not here: they lie in data/models of the source. From its folder, "
    "or with --models FOLDER, each engine is asked for answers too."
)

_OLD_DRIVER = (
    "the NVIDIA driver is older than the CUDA that torch is built for: update the driver, or"
    " install a torch for an older CUDA (https://pytorch.org/get-started/locally)"
)
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
    (
        "no kernel image is available",
        "torch or vLLM is built for other GPUs than this one: install a build for its compute"
        " capability (https://pytorch.org/get-started/locally)",
    ),
    ("driver on your system is too old", _OLD_DRIVER),
    ("driver version is insufficient", _OLD_DRIVER),
    (
        "cannot import name",
        "versions that do not belong together are mixed: install into a fresh environment",
    ),
)
"""What an engine's last words mean, and what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One engine on this machine.

    Attributes:
        engine: Its name.
        version: Of its library; None: not installed.
        works: It gave every known answer; None: it loads, and was not asked.
        told: What it did, or what to do.
    """

    engine: str
    version: str | None
    works: bool | None
    told: str

    @property
    def state(self) -> str:
        """In one word."""
        if self.version is None:
            return "absent"
        return {True: "works", False: "FAILS", None: "loads"}[self.works]


def known_models() -> Path | None:
    """``data/models`` of the folder we are in, or of the source this package is run from."""
    homes = (Path(), Path(__file__).parents[2])
    return next((one for home in homes if (one := home / "data" / "models").is_dir()), None)


def examine_all(models: Path | None) -> Iterator[Finding]:
    """Each engine after the other, in processes of their own.

    Args:
        models: The folder of the known-answer models; None: each is only loaded.
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


def _examine(engine: str, version: str, models: Path | None) -> Finding:
    where = [] if models is None else [str(models)]
    command = [sys.executable, "-m", EXAMINATION, engine, *where]
    code, said, fault = _finished(command, {**os.environ, "HF_HUB_OFFLINE": "1"})
    if code is None:
        return Finding(engine, version, works=False, told=f"no answer in {TIMEOUT_S} s")
    last = (said.strip().splitlines() or [""])[-1]
    if code == 0 and models is None:
        return Finding(engine, version, works=None, told=last)
    if "known answers right" in last:
        return Finding(engine, version, works=code == 0, told=last)
    return Finding(engine, version, works=False, told=explain(said + fault) + _doubled(engine))


def _finished(command: list[str], environment: Mapping[str, str]) -> tuple[int | None, str, str]:
    """Exit code, None where time ran out, and what was said; nothing it started is left."""
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        said, fault = child.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return None, "", ""
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # an engine has processes of its own
        child.wait()
    return child.returncode, said, fault


def _doubled(engine: str) -> str:
    names = installed_distributions(engine)
    if len(names) < 2:
        return ""
    both = " and ".join(names)
    return f"\n  {both} are both installed and overwrite each other: uninstall them, install one"


def _install(engine: str) -> str:
    return f"not installed: {installing(LIBRARIES[engine].extra)}"
