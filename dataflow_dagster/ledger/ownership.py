"""Who writes a shard: a lock that ends with its process, and a note that says whose it is."""

import fcntl
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dataflow_dagster.rows import decode, encode
from dataflow_dagster.stores.flocks import is_flocked
from dataflow_dagster.stores.lock import HeldError, StoreLock
from dataflow_dagster.stores.mirrors import address, mirror_of


class ShardBusyError(Exception):
    """Another run is writing the same shard; tells which."""


@dataclass(frozen=True, slots=True)
class Owner:
    """One run, as its note tells others.

    Attributes:
        pid: Its process, which may be gone: only the lock says that it works.
        host: The machine of the process.
        began: When it took the shard, UTC, ISO 8601.
        asset: What it makes.
    """

    pid: int
    host: str
    began: str
    asset: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, which began at {self.began}"


class Ownership:
    """The right to write one shard, held until `release` or the end of the process.

    Of a shard in a store it is held against other machines too.

    Args:
        path: The note. It is locked; it stays where a run was killed.
        writes: The shard's rows file, for the message.
        asset: What is made.

    Raises:
        ShardBusyError: Another process has it.
    """

    def __init__(self, path: Path, writes: Path, asset: str = "") -> None:
        self._path = path
        self._note = _taken(path, writes)
        try:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            owner = Owner(os.getpid(), socket.gethostname(), now, asset)
            os.ftruncate(self._note, 0)
            os.pwrite(self._note, encode(asdict(owner)) + b"\n", 0)
            self._lock = _store_lock(path, writes)
        except BaseException:
            os.close(self._note)
            raise

    def check(self) -> None:
        """Hold that it was not lost to another machine.

        Raises:
            StoreError: It was.
        """
        if self._lock is not None:
            self._lock.check()

    def release(self, *, finished: bool) -> None:
        """Let others write it; `finished`: nothing of ours is left that the note would tell of."""
        if self._lock is not None:
            self._lock.release()
        if finished:
            self._path.unlink(missing_ok=True)
        os.close(self._note)


def read_owner(path: Path) -> Owner | None:
    """The note at `path`; None where there is none that can be read."""
    try:
        return Owner(**decode(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def is_owned(path: Path) -> bool:
    """Whether a process of this machine writes the shard of the note at `path` now."""
    return is_flocked(path)


def _store_lock(path: Path, writes: Path) -> StoreLock | None:
    mirror = mirror_of(path)
    try:
        return None if mirror is None else StoreLock(mirror, path)
    except HeldError as holder:
        said = f"{address(writes)} is being written by another run: {holder}"
        raise ShardBusyError(said) from None


def _taken(path: Path, writes: Path) -> int:
    """The note, open and locked."""
    while True:
        note = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(note), path.stat()):
                return note
        except BlockingIOError:
            os.close(note)
            said = f"{address(writes)} is being written by another run"
            owner = read_owner(path)
            raise ShardBusyError(said if owner is None else f"{said}: {owner}") from None
        except FileNotFoundError:
            pass  # its owner took it away, the shard being whole, before we had the lock
        os.close(note)
