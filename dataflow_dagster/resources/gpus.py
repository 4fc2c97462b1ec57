"""GPUs of this machine, leased to one step at a time."""

import fcntl
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DEVICES_VARIABLE = "DATAFLOW_GPUS"
"""Devices that may be leased, such as ``0,1``; unset: all that ``nvidia-smi`` lists."""

LOOK_AGAIN_S = 1.0


class TooFewGpusError(Exception):
    """A step asks for more GPUs than this machine has."""


@contextmanager
def leased_gpus(wanted: int | None, say: Callable[[str], None]) -> Generator[list[str]]:
    """Hold `wanted` GPUs alone, and let libraries loaded inside see these and no others.

    A lease is a file lock: it ends with the process that holds it, however that ends.

    Args:
        wanted: None: leave devices as they are; 0: hide all of them.
        say: Told why the step waits.

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
        held = _hold(wanted, devices, locks, say)
        with _only_visible(held):
            yield held


def machine_gpus() -> list[str]:
    """Devices that may be leased: ``DATAFLOW_GPUS``, else ``CUDA_VISIBLE_DEVICES``, else all."""
    for variable in (DEVICES_VARIABLE, "CUDA_VISIBLE_DEVICES"):
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


def _hold(
    wanted: int, devices: list[str], locks: ExitStack, say: Callable[[str], None]
) -> list[str]:
    """All or nothing, so that two steps never wait for each other's devices."""
    told = False
    while True:
        with ExitStack() as tried:
            held: list[str] = []
            for device in devices:
                if len(held) < wanted and _lock(device, tried):
                    held.append(device)
            if len(held) == wanted:
                locks.push(tried.pop_all())
                return held
        if not told:
            say(f"waiting for {wanted} of {len(devices)} GPUs: other steps hold them")
            told = True
        time.sleep(LOOK_AGAIN_S)


def _lock(device: str, locks: ExitStack) -> bool:
    """Take the device's lock file if it is free; it is let go when `locks` closes."""
    folder = Path(tempfile.gettempdir()) / "dataflow_dagster_gpus"
    folder.mkdir(mode=0o777, exist_ok=True)
    file = (folder / re.sub(r"[^A-Za-z0-9_-]", "_", device)).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    locks.callback(file.close)
    return True


@contextmanager
def _only_visible(devices: list[str]) -> Generator[None]:
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
