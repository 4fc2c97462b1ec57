"""GPUs of this machine, leased to one step at a time."""

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from dataflow_dagster.resources.letting_go import Closings
from dataflow_dagster.resources.variables import set_variables

DEVICES_VARIABLE: Final = "DATAFLOW_GPUS"
"""Devices that may be leased, such as ``0,1``; unset: all that ``nvidia-smi`` lists."""

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"

RAY_JOB: Final = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray in each process that it begins for a job (ray/_private/runtime_env/constants.py)."""


class TooFewGpusError(Exception):
    """A step asks for more GPUs than this machine has."""


@contextmanager
def leased_gpus(
    wanted: int | None,
    say: Callable[[str], None],
    *,
    who: str = "",
    keep: Callable[[int], None] | None = None,
) -> Generator[list[str]]:
    """Hold `wanted` GPUs alone, and let libraries loaded inside see these and no others.

    A lease is a file lock: it ends with the process that holds it, however that ends. Those who
    wait stand in line, and sleep until the kernel tells that a lease was let go.

    Args:
        wanted: None: leave devices as they are; 0: hide all of them.
        say: Told why the step waits, and which devices it got.
        who: Names the holder to those who wait.
        keep: Given each lock's open file, to hold it until the GPU is really free.

    Yields:
        The devices held, in the words of ``CUDA_VISIBLE_DEVICES``.

    Raises:
        TooFewGpusError: `wanted` is more than the machine has.
    """
    if wanted is None:
        yield []
        return
    devices = machine_gpus() if wanted else []
    if wanted > len(devices):
        offered = f"{len(devices)} GPUs ({', '.join(devices)})" if devices else "no GPU"
        raise TooFewGpusError(f"resources.gpus is {wanted}, but this machine offers {offered}")
    with ExitStack() as locks:
        held = _Line(devices, say, who).hold(wanted, locks) if wanted else {}
        for file in held.values():
            if keep is not None:
                keep(file)
        with set_variables({VISIBLE: ",".join(held)}):
            yield list(held)


def machine_gpus() -> list[str]:
    """Devices that may be leased: ``DATAFLOW_GPUS``, else ``CUDA_VISIBLE_DEVICES``, else all.

    In a job of Ray's the other way round: the visible ones are those that Ray chose for it.
    """
    variables = (DEVICES_VARIABLE, VISIBLE)
    for variable in reversed(variables) if RAY_JOB in os.environ else variables:
        named = os.environ.get(variable)
        if named is not None:
            return [device.strip() for device in named.split(",") if device.strip()]
    return [str(number) for number in range(_count_gpus())]


def _count_gpus() -> int:
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


class _Line:
    """Steps that wait for the same devices: the first takes what comes free, none is overtaken."""

    def __init__(self, devices: Sequence[str], say: Callable[[str], None], who: str) -> None:
        self._devices = devices
        self._say = say
        self._who = who
        self._folder = Path(tempfile.gettempdir()) / "dataflow_dagster_gpus"
        self._folder.mkdir(exist_ok=True)
        with suppress(PermissionError):  # another user's: it is open to all already
            self._folder.chmod(0o1777)

    def hold(self, wanted: int, locks: ExitStack) -> dict[str, int]:
        """Device → open file of its lock; `locks` lets go of them."""
        with ExitStack() as tried:
            turn = self._open("line-" + "-".join(self._devices), tried)
            files = {device: self._open(device, tried) for device in self._devices}
            told = not _lock_soon(turn)
            if told:
                self._tell(wanted)
                fcntl.flock(turn, fcntl.LOCK_EX)  # asleep until those before us have theirs
            with Closings(self._folder) as closings:
                while len(held := _lock_some(files, wanted)) < wanted:
                    if not told:
                        self._tell(wanted)
                        told = True
                    closings.wait()
            if told:
                self._say(f"got GPU {', '.join(held)}")
            for file in held.values():
                _sign(file, self._who)
            return {device: _moved(file, locks) for device, file in held.items()}

    def _tell(self, wanted: int) -> None:
        signs = {device: self._path(device).read_text("utf-8") for device in self._devices}
        told = "; ".join(f"{device}: {who}" for device, who in signs.items() if _is_alive(who))
        asked = f"waiting for {wanted} of {len(self._devices)} GPUs"
        self._say(f"{asked}; {told}" if told else f"{asked}; others wait before it")

    def _open(self, name: str, locks: ExitStack) -> int:
        path = self._path(name)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        locks.callback(os.close, file)
        with suppress(PermissionError):
            path.chmod(0o666)  # other users' steps wait in the same line
        return file

    def _path(self, name: str) -> Path:
        return self._folder / re.sub(r"[^A-Za-z0-9_-]", "_", name)[:200]


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lock_soon(file: int) -> bool:
    """Lock what others may hold for a moment, to take a device that is free; half a second."""
    for _ in range(10):
        if _lock(file):
            return True
        time.sleep(0.05)
    return False


def _lock_some(files: dict[str, int], wanted: int) -> dict[str, int]:
    """All or nothing, so that two lines over the same devices never wait for each other."""
    held: dict[str, int] = {}
    for device, file in files.items():
        if len(held) < wanted and _lock(file):
            held[device] = file
    if len(held) < wanted:
        for file in held.values():
            fcntl.flock(file, fcntl.LOCK_UN)
        return {}
    return held


def _moved(file: int, locks: ExitStack) -> int:
    """The same open file under another number, which `locks` closes, its sign taken away."""
    copy = os.dup(file)
    locks.callback(os.close, copy)
    locks.callback(os.ftruncate, copy, 0)
    return copy


def _sign(file: int, who: str) -> None:
    os.ftruncate(file, 0)
    os.pwrite(file, f"{who} (process {os.getpid()})".strip().encode(), 0)


def _is_alive(sign: str) -> bool:
    """Whether the holder that signed is there still; a killed one could not take its sign away."""
    process = re.search(r"\(process (\d+)\)\Z", sign)
    if process is None:
        return False
    try:
        os.kill(int(process[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
