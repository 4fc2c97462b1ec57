"""A running step as others see it: lines in the run's log, and a file the command line watches."""

import os
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from dataflow_dagster.rows import encode

PROGRESS_FOLDER = "DATAFLOW_PROGRESS_FOLDER"
"""Environment variable: where a watching process wants ``<asset>.json`` of each step at work.

Beside it stands ``<asset>.said`` with the lines that tell more than counts.
"""

WRITE_EVERY_S = 0.2
LOG_EVERY_S = ((60.0, 10.0), (600.0, 30.0), (float("inf"), 60.0))
"""So many seconds after a step began, a line in so many seconds: a night's run has some 600."""

SILENT_S = 60.0
"""A line says that no row came for so long; the next comes after twice the time."""
MOST_SILENT_S = 600.0
"""Longest time between two such lines."""


class StepReport:
    """Counts rows of one step over all its shards.

    Args:
        context: Gets a line now and then, soon at first.
        asset: Names the step.
        clock: Seconds that only grow.

    Attributes:
        who: Asset and run, for other runs' logs.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        asset: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder = os.environ.get(PROGRESS_FOLDER)
        self._log = context.log
        self._asset = asset
        self.who = f"{context.asset_key.to_user_string()} of run {context.run.run_id[:8]}"
        self._clock = clock
        self._file = None if folder is None else Path(folder) / f"{asset}.json"
        self._rows = 0
        self._failed = 0
        self._total: int | None = None
        self._began = clock()
        self._first_at = self._logged_at = self._began
        self._rows_logged = 0
        self._written_at = 0.0
        self._advanced_at = self._began
        self._silent_s = SILENT_S
        self._write(done=False)

    def expect(self, rows: int) -> None:
        """So many rows are to be written in all."""
        self._total = rows
        self._write(done=False)

    def advance(self, rows: int, failed: int) -> None:
        """Count rows; tell those who watch, not too often."""
        now = self._clock()
        if not self._rows:  # loading a model is no part of the rate
            self._first_at = self._logged_at = now
            self._rows_logged = rows
        self._rows += rows
        self._failed += failed
        self._advanced_at, self._silent_s = now, SILENT_S
        if now - self._written_at > WRITE_EVERY_S:
            self._write(done=False)
            self._written_at = now
        if now - self._logged_at > _pause(now - self._first_at):
            rate = (self._rows - self._rows_logged) / (now - self._logged_at)
            self._log_line(self._counts(rate) + self._left(rate))
            self._logged_at, self._rows_logged = now, self._rows

    @contextmanager
    def watched(self) -> Generator[None]:
        """Look at itself from a thread meanwhile: an engine that hangs calls nobody."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(SILENT_S / 12):
                self.look()

        thread = threading.Thread(target=look, name=f"silence of {self._asset}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def look(self) -> None:
        """A line where no row came for long."""
        now = self._clock()
        silent = now - self._advanced_at
        if silent < self._silent_s:
            return
        self._silent_s = min(2 * silent, silent + MOST_SILENT_S)
        since = "since the step began, " if not self._rows else ""
        self._log_line(f"{self._so_far()}, none {since}for {duration(silent)}")

    def say(self, what: str) -> None:
        """A line in the run's log, and for those who watch."""
        self._log_line(what)
        if self._file is not None and self._file.parent.is_dir():
            with self._file.with_suffix(".said").open("a", encoding="utf-8") as said:
                said.write(f"{' '.join(what.split())}\n")

    def _log_line(self, what: str) -> None:
        self._log.info(f"{self._asset}: {what}")

    def warn(self, what: str) -> None:
        """As `say`, of what is to be mended."""
        self._log.error(f"{self._asset}: {what}")

    def end(self) -> None:
        """All shards are done."""
        self._write(done=True)
        took = self._clock() - self._began
        self._log_line(f"{self._rows:,} rows, {self._failed:,} failed, in {duration(took)}")

    def _counts(self, rate: float) -> str:
        return f"{self._so_far()}, {self._failed:,} failed, {rate:,.1f} rows/s"

    def _so_far(self) -> str:
        of = "" if not self._total else f" of {self._total:,}"
        share = "" if not self._total else f" ({self._rows / self._total:.0%})"
        return f"{self._rows:,}{of} rows{share}"

    def _left(self, rate: float) -> str:
        if self._total is None or self._total <= self._rows or rate <= 0:
            return ""
        return f", {duration((self._total - self._rows) / rate)} left"

    def _write(self, *, done: bool) -> None:
        if self._file is None or not self._file.parent.is_dir():  # not seen from a cluster's node
            return
        state = {
            "rows": self._rows,
            "failed": self._failed,
            "total": self._total,
            "done": done,
        }
        part = self._file.with_name(self._file.name + ".part")
        part.write_bytes(encode(state))
        part.replace(self._file)


def duration(seconds: float) -> str:
    """``45 s``, ``6 min 50 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _pause(since_s: float) -> float:
    return next(pause for until, pause in LOG_EVERY_S if since_s <= until)
