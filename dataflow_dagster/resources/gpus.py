"""GPUs of this machine, leased to one step at a time."""

import os
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dataflow_dagster.engines.devices import Lease
from dataflow_dagster.resources.claims import Claims, claims_folder
from dataflow_dagster.resources.variables import set_variables

DEVICES_VARIABLE: Final = "DATAFLOW_GPUS"
"""Devices that may be leased, such as ``0,1``; unset: all that ``nvidia-smi`` lists."""

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"

RAY_JOB: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in each process that it begins for a job (ray/_private/runtime_env/constants.py)."""

_NO_MORE: Final = frozenset({"", "-1", "NoDevFiles"})
"""What is named from here on is not seen by CUDA.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
"""


class UnfitGpusError(Exception):
    """A machine's GPUs are told in a way that nothing can be leased by."""


class TooFewGpusError(UnfitGpusError):
    """A step asks for more GPUs than this machine has."""


@dataclass(frozen=True, slots=True)
class Gpus:
    """What one step asks of its machine; see `Devices`.

    Attributes:
        wanted: None: leave devices as they are; 0: hide all of them.
        say: Told why the step waits, and which devices it got.
        who: Names the holder to those who wait.
        keep: Given each lock's open file, to hold it until the GPU is really free.
        folder: Of this machine's claims.
    """

    wanted: int | None
    say: Callable[[str], None]
    who: str = ""
    keep: Callable[[int], None] | None = None
    folder: Path = field(default_factory=claims_folder)

    def check(self) -> None:
        """Hold that the machine has as many.

        Raises:
            TooFewGpusError: It has not.
            UnfitGpusError: A device is named twice.
        """
        if self.wanted:
            self._offered(self.wanted)

    @contextmanager
    def lease(self) -> Generator[Lease]:
        """Hold the GPUs alone, and let libraries loaded inside see these and no others.

        A lease ends with the process that holds it, however that ends. Those who wait stand in
        line, and sleep until the kernel tells that a lease was let go.

        Raises:
            TooFewGpusError: More are wanted than the machine has.
            UnfitGpusError: A device is named twice.
        """
        if not self.wanted:
            yield Lease()
            return
        offered = self._offered(self.wanted)
        who = f"{self.who} (process {os.getpid()})".strip()
        with Claims(self.folder).held(self.wanted, offered, who, self.say) as (devices, file):
            if self.keep is not None:
                self.keep(file)
            with set_variables({VISIBLE: ",".join(devices)}):
                yield Lease(devices, [file])

    @contextmanager
    def seen_before(self) -> Generator[None]:
        """Let a step see, until it has its lease, what it may lease; nothing where that is 0.

        Raises:
            UnfitGpusError: A device is named twice.
        """
        seen = {VISIBLE: ""} if self.wanted == 0 else {}
        if self.wanted and _naming() == DEVICES_VARIABLE:
            seen = {VISIBLE: ",".join(machine_gpus())}
        with set_variables(seen):
            yield

    def _offered(self, wanted: int) -> list[str]:
        devices = machine_gpus()
        if wanted <= len(devices):
            return devices
        offered = f"{len(devices)} GPUs ({', '.join(devices)})" if devices else "no GPU"
        told = f"resources.gpus is {wanted}, but this machine offers {offered}"
        raise TooFewGpusError(told if devices else f"{told}: {_why_none()}")


def machine_gpus() -> list[str]:
    """Devices that may be leased: ``DATAFLOW_GPUS``, else ``CUDA_VISIBLE_DEVICES``, else all.

    In a job of Ray's the other way round: the visible ones are those that Ray chose for it.

    Raises:
        UnfitGpusError: One is named twice.
    """
    variable = _naming()
    if variable is None:
        return [str(number) for number in range(_listed()[0])]
    named = [device.strip() for device in os.environ[variable].split(",")]
    if variable == DEVICES_VARIABLE:
        named = [device for device in named if device]
    end = next((at for at, device in enumerate(named) if device in _NO_MORE), len(named))
    for device in named[:end]:
        if named[:end].count(device) > 1:
            given = os.environ[variable]
            raise UnfitGpusError(f"{variable} is '{given}', which names device {device} twice")
    return named[:end]


def _naming() -> str | None:
    """The variable that says which devices may be leased; None: none does."""
    variables = (DEVICES_VARIABLE, VISIBLE)
    ordered = reversed(variables) if RAY_JOB in os.environ else variables
    return next((variable for variable in ordered if variable in os.environ), None)


def _why_none() -> str:
    variable = _naming()
    return _listed()[1] if variable is None else f"{variable} is '{os.environ[variable]}'"


def _listed() -> tuple[int, str]:
    """How many GPUs ``nvidia-smi`` lists, and why it does not list all."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        return 0, "nvidia-smi, which lists them, is not found"
    except (OSError, subprocess.SubprocessError) as error:
        return 0, f"nvidia-smi, which lists them: {error}"
    if listed.returncode:
        said = " ".join((listed.stderr + listed.stdout).split())[:300]
        code = listed.returncode
        return 0, f"nvidia-smi -L ended with code {code}: {said}; {DEVICES_VARIABLE} names others"
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return count, "" if count else "nvidia-smi -L lists none"
