"""Answers of a shard in the making, sent to its store as they come: its machine may die.

A store's objects cannot be appended to, so that each piece of the part is an object of its own:
``<stem>.part-<asset>-<run>-<number>``, there until the shard is whole.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.stores.mirror import Mirror
from dataflow_dagster.stores.mirrors import mirror_of
from dataflow_dagster.stores.store import AT_ONCE, StoreError

SEND_S: Final = 3.0
"""A row waits no longer than this, and the time its piece takes to be sent."""

SENT: Final = ".part-"
"""Stands in the names of pieces."""


class Trail:
    """Sends lines beside the run that makes them.

    Args:
        shard: Held by this process.
        mirror: Of the shard's folder.
        asset: Whose answers they are.
        check: Raises where the shard is no longer held.
    """

    def __init__(self, shard: Shard, mirror: Mirror, asset: str, check: Callable[[], None]) -> None:
        self._shard = shard
        self._mirror = mirror
        self._check = check
        self._begins = f"{shard.path.stem}{SENT}{asset}-{uuid4().hex[:12]}"
        self._earlier = _pieces(mirror, shard)
        self._sent: list[Path] = []
        self._waiting: list[bytes] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._error: OSError | None = None
        self._stop = threading.Event()
        self._bring()
        self._thread = threading.Thread(target=self._run, name="trail", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """A row that was answered in this run.

        Raises:
            StoreError: The store did not take an earlier one.
        """
        if self._error is not None:
            raise StoreError(str(self._error)) from self._error
        self._check()
        with self._lock:
            self._waiting.append(line)

    def send(self) -> None:
        """Send what is not sent yet.

        Raises:
            StoreError: The store does not take it.
        """
        self._check()
        with self._sending:
            with self._lock:
                lines, self._waiting = self._waiting, []
            if not lines:
                return
            path = self._shard.path.with_name(f"{self._begins}-{len(self._sent):06d}")
            try:
                self._mirror.write(path, b"".join(lines))
            except OSError:
                with self._lock:
                    self._waiting = lines + self._waiting
                raise
            self._sent.append(path)

    def end(self, *, finished: bool) -> None:
        """Send no more. `finished`: the shard is whole, so that its pieces can go."""
        self._stop.set()
        self._thread.join()
        if not finished:
            self._run_once()
            return
        _forget_brought(self._shard)
        self._mirror.delete([*self._earlier, *self._sent])

    def _bring(self) -> None:
        """Make the shard's files here what the store has; pieces of one asset become one file."""
        for path in (self._shard.keys_path, self._shard.path):
            self._mirror.bring(path, ours=True)
        bring_pieces(self._mirror, self._shard)

    def _run(self) -> None:
        while not self._stop.wait(SEND_S):
            self._run_once()

    def _run_once(self) -> None:
        try:
            self.send()
            self._error = None
        except OSError as error:
            self._error = error


def trail_of(shard: Shard, asset: str, check: Callable[[], None]) -> Trail | None:
    """A trail of a shard that this process just came to hold; None: it is in no store."""
    mirror = mirror_of(shard.path)
    return None if mirror is None else Trail(shard, mirror, asset, check)


def bring_pieces(mirror: Mirror, shard: Shard) -> None:
    """Put the pieces that runs left in the store beside the shard, for the ledger."""
    _forget_brought(shard)
    by_asset: dict[str, list[Path]] = {}
    for path in _pieces(mirror, shard):
        asset = path.name.removeprefix(shard.path.stem + SENT).partition("-")[0]
        by_asset.setdefault(asset, []).append(path)
    for asset, paths in by_asset.items():
        _join(mirror, paths, shard.segment_path(asset))


def _join(mirror: Mirror, pieces: list[Path], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with part.open("wb") as file:
            for at in range(0, len(pieces), AT_ONCE):
                file.writelines(mirror.read_all(pieces[at : at + AT_ONCE]))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _pieces(mirror: Mirror, shard: Shard) -> list[Path]:
    begins = shard.path.stem + SENT
    found = sorted(name for name in mirror.beside(shard.path) if name.startswith(begins))
    return [shard.path.with_name(name) for name in found]


def _forget_brought(shard: Shard) -> None:
    for path in shard.left_paths():
        if path != shard.interrupted_path:
            path.unlink(missing_ok=True)
