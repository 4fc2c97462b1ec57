"""Rows reach the disk soon after they were written, whatever the engine does meanwhile."""

import threading
import time
from contextlib import suppress
from typing import IO

FLUSH_S = 0.5
"""A row waits no longer than this in our buffer; five seconds are promised."""


class Flusher:
    """Flushes the files of a process every `FLUSH_S`, in one thread that ends when there are none.

    A thread for each file would cost a shard of a few rows more than its rows do. Buffered files
    have a lock of their own, so that a row is written whole or not yet.
    """

    def __init__(self) -> None:
        self._files: set[IO[bytes]] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, file: IO[bytes]) -> None:
        """Flush `file` until it is removed."""
        with self._lock:
            self._files.add(file)
            if self._thread is None or not self._thread.is_alive():  # a fork has no threads
                self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
                self._thread.start()

    def remove(self, file: IO[bytes]) -> None:
        """Leave `file` alone from now on; what is not flushed yet is left to the caller."""
        with self._lock:
            self._files.discard(file)

    def _run(self) -> None:
        while True:
            time.sleep(FLUSH_S)
            with self._lock:
                if not self._files:
                    self._thread = None
                    return
                for file in self._files:
                    with suppress(OSError):  # the disk is full: the writer's own next flush tells
                        file.flush()


FLUSHER = Flusher()
"""The process's own."""
