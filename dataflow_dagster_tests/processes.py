"""What other processes do, and what a test leaves running behind it."""

import time
from collections.abc import Callable

import psutil


class Children:
    """Processes of this one's that were begun since; other tests' helpers may run on."""

    def __init__(self) -> None:
        self._before = {child.pid for child in _all(recursive=True)}

    def running(self, *, recursive: bool = False) -> list[psutil.Process]:
        """Those that have not ended."""
        return [child for child in _all(recursive=recursive) if child.pid not in self._before]


def _all(*, recursive: bool) -> list[psutil.Process]:
    return psutil.Process().children(recursive=recursive)


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    """Look again and again until it holds.

    Raises:
        TimeoutError: It does not hold in time.
    """
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"{holds} did not hold in {seconds} s")
        time.sleep(0.2)
