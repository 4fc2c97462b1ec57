"""Locks between processes of one machine, which end with the process that holds them."""

import fcntl
import os
from pathlib import Path


def is_flocked(path: Path) -> bool:
    """Whether a process of this machine holds the lock of the file at `path` now."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(file)
