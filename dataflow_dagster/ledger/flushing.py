"""Rows reach the disk soon after they were written, whatever the engine does meanwhile."""

import os
import threading
import time
from contextlib import suppress
from typing import IO

FLUSH_S = 0.5
"""A row waits no longer than this in our buffer; five seconds are promised."""

SYNC_BYTES = 16 << 20
"""A file that has grown so much is written to the disk: its end need not wait for all of it."""


class Flusher:
    """Flushes the files of a process every `FLUSH_S`, in one thread that ends when there are none.

    A thread for each file would cost a shard of a few rows more than its rows do. Buffered files
    have a lock of their own, so that a row is written whole or not yet.
    """

    def __init__(self) -> None:
        self._files: dict[IO[bytes], int] = {}  # and how much of each is on the disk
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, file: IO[bytes]) -> None:
        """Flush `file` until it is removed."""
        with self._lock:
            self._files[file] = 0
            if self._thread is None or not self._thread.is_alive():  # a fork has no threads
                self._thread = threading.Thread(target=self._run, name="flush", daemon=True)
                self._thread.start()

    def remove(self, file: IO[bytes]) -> None:
        """Leave `file` alone from now on; what is not flushed yet is left to the caller."""
        with self._lock:
            self._files.pop(file, None)

    def _run(self) -> None:
        while True:
            time.sleep(FLUSH_S)
            with self._lock:
                if not self._files:
                    self._thread = None
                    return
                files = [*self._files.items()]
                for file, _ in files:
                    # The disk is full: the writer's own next flush tells. Or it was closed.
                    with suppress(OSError, ValueError):
                        file.flush()
            for file, synced in files:
                self._write_back(file, synced)

    def _write_back(self, file: IO[bytes], synced: int) -> None:
        """Have much that was written brought to the disk, beside the writer that goes on."""
        with suppress(OSError, ValueError):  # closed meanwhile
            size = os.fstat(file.fileno()).st_size
            if size - synced >= SYNC_BYTES:
                os.fsync(file.fileno())
                with self._lock:
                    if file in self._files:
                        self._files[file] = size


FLUSHER = Flusher()
"""The process's own."""
