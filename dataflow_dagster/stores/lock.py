"""The right to write something of a store, between machines."""

import os
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from dataflow_dagster.rows import decode, encode
from dataflow_dagster.stores.mirror import Mirror
from dataflow_dagster.stores.store import StoreError

BEAT_S: Final = 10.0
"""A holder says so often that it lives."""
SILENT_S: Final = 35.0
"""One that was not heard of for so long, watched by the clock of who waits, is dead."""
POLL_S: Final = 1.0
"""Who waits looks so often."""
SETTLE_S: Final = 2.0
"""Who takes over looks again after so long whether another did too."""


class HeldError(Exception):
    """Another machine's process has it, and lives; says whose it is."""


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock's object says.

    Attributes:
        pid: Process of the holder.
        host: Its machine.
        began: When it took the lock, UTC, ISO 8601.
        nonce: No other holding has it.
        mirror: Id of its copy of the store.
        beat: Grows while it lives.
    """

    pid: int
    host: str
    began: str
    nonce: str
    mirror: str
    beat: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which began at {self.began}"


class StoreLock:
    """Held until `release`; a holder that dies is followed by the next who asks.

    It is an object made on the condition that there is none (``If-None-Match: *``), and rewritten
    every `BEAT_S`. Clocks of machines are never compared: who finds it watches whether it changes.
    What this machine's own copy held before is dead: its processes exclude each other by a file
    lock, which the caller has.

    Args:
        mirror: Of the folder that `path` lies in.
        path: Of the object; nothing is written here.

    Raises:
        HeldError: Another machine's process holds it.
        StoreError: The store cannot be reached or written.
    """

    def __init__(self, mirror: Mirror, path: Path) -> None:
        self._mirror = mirror
        self._path = path
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._holder = Holder(os.getpid(), socket.gethostname(), now, uuid4().hex, mirror.id)
        self._take()
        self._heard_at = time.monotonic()
        self._lost = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="store-lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Hold that it is still ours.

        Raises:
            StoreError: Another took it, having heard nothing of us.
        """
        if self._lost:
            raise StoreError(self._lost)

    def release(self) -> None:
        """Let others have it; one that took over while this machine stood still keeps it."""
        self._stop.set()
        self._thread.join()
        with suppress(OSError):  # it is taken from us once we are silent
            if not self._lost and self._is_ours():
                self._mirror.erase(self._path)

    def _take(self) -> None:
        watched, since = None, time.monotonic()
        while not self._create():
            found = self._read()
            if found is not None and found.mirror == self._mirror.id:
                self._write()
                return
            if found is not None and watched is not None and found.nonce == watched.nonce:
                if found.beat != watched.beat:
                    raise HeldError(str(found))
                if time.monotonic() - since > SILENT_S and self._follow():
                    return
            else:
                watched, since = found, time.monotonic()
            time.sleep(POLL_S)

    def _create(self) -> bool:
        try:
            self._mirror.write(self._path, encode(asdict(self._holder)), new=True)
        except FileExistsError:
            return False
        return True

    def _follow(self) -> bool:
        """Take it from a dead holder; of several who do, the last has it."""
        self._write()
        time.sleep(SETTLE_S)
        return self._is_ours()

    def _live(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                if not self._is_ours():
                    self._lost = f"{self._mirror.address(self._path)}: {self._read()} took over"
                    return
                self._holder = replace(self._holder, beat=self._holder.beat + 1)
                self._write()
                self._heard_at = time.monotonic()
            except OSError as error:
                if time.monotonic() - self._heard_at > SILENT_S - BEAT_S:
                    self._lost = f"nothing could be written for {SILENT_S:.0f} s: {error}"
                    return

    def _is_ours(self) -> bool:
        found = self._read()
        return found is not None and found.nonce == self._holder.nonce

    def _write(self) -> None:
        self._mirror.write(self._path, encode(asdict(self._holder)))

    def _read(self) -> Holder | None:
        content = self._mirror.read(self._path)
        if content is None:
            return None
        try:
            return Holder(**decode(content))
        except (ValueError, TypeError):
            return Holder(0, "a machine unknown", "a time unknown", content.hex(), "")


@contextmanager
def held(mirror: Mirror, path: Path) -> Generator[None]:
    """The lock for as long as the block takes."""
    lock = StoreLock(mirror, path)
    try:
        yield
    finally:
        lock.release()
