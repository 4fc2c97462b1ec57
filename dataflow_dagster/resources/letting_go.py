"""Waiting for a lease file to be let go, told by the kernel instead of looked for."""

import ctypes
import os
import select
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

# https://man7.org/linux/man-pages/man7/inotify.7.html
_CLOSE_WRITE: Final = 0x8
_FLAGS: Final = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)

LOOK_AT_LATEST_S = 60.0
LOOK_WITHOUT_KERNEL_S = 1.0


class Closings:
    """Tells that a file in a folder, open for writing, was closed: also by its process's death.

    Where the kernel has no inotify it looks again every second.
    """

    def __init__(self, folder: Path) -> None:
        self._file: int | None = None
        if sys.platform != "linux":
            return
        libc = ctypes.CDLL(None, use_errno=True)
        file = libc.inotify_init1(_FLAGS)
        if file >= 0 and libc.inotify_add_watch(file, os.fsencode(folder), _CLOSE_WRITE) >= 0:
            self._file = file

    def __enter__(self) -> "Closings":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)

    def wait(self) -> None:
        """Sleep until a file was closed since the last wait."""
        if self._file is None:
            time.sleep(LOOK_WITHOUT_KERNEL_S)
            return
        ready, _, _ = select.select([self._file], [], [], LOOK_AT_LATEST_S)
        if ready:
            os.read(self._file, 1 << 16)  # all that has gathered; which file does not matter
