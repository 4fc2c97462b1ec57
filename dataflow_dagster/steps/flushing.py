"""Rows reach the disk soon after they were written, whatever the engine does meanwhile."""

import threading
from typing import IO

FLUSH_S = 0.5
"""A row waits no longer than this in our buffer; five seconds are promised."""


class Flusher:
    """Flushes a file every `FLUSH_S` in a thread of its own, until `stop`.

    Buffered files have a lock of their own, so that a row is written whole or not yet.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not flushed yet is left to the caller."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_S):
            try:
                self._file.flush()
            except OSError:  # the disk is full: the writer's own next flush tells
                continue
