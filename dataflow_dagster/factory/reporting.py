"""A running step as others see it: lines in the run's log, and a file the command line watches."""

import os
import time
from pathlib import Path

import dagster as dg

from dataflow_dagster.rows import encode

PROGRESS_FOLDER = "DATAFLOW_PROGRESS_FOLDER"
"""Environment variable: where a watching process wants ``<asset>.json`` of each step at work."""

LOG_EVERY_S = 10.0
WRITE_EVERY_S = 0.2


class StepReport:
    """Counts rows of one step over all its shards.

    Args:
        context: Gets a line every ten seconds.
        asset: Names the step.

    Attributes:
        who: Asset and run, for other runs' logs.
    """

    def __init__(self, context: dg.AssetExecutionContext, asset: str) -> None:
        folder = os.environ.get(PROGRESS_FOLDER)
        self._log = context.log
        self._asset = asset
        self.who = f"{context.asset_key.to_user_string()} of run {context.run.run_id[:8]}"
        self._file = None if folder is None else Path(folder) / f"{asset}.json"
        self._rows = 0
        self._failed = 0
        self._began = self._logged_at = time.monotonic()
        self._written_at = 0.0
        self._write(done=False)

    def advance(self, rows: int, failed: int) -> None:
        """Count rows; tell those who watch, not too often."""
        now = time.monotonic()
        if not self._rows:  # loading a model is no part of the rate
            self._began = self._logged_at = now
        self._rows += rows
        self._failed += failed
        if now - self._written_at > WRITE_EVERY_S:
            self._write(done=False)
            self._written_at = now
        if now - self._logged_at > LOG_EVERY_S:
            rate = self._rows / (now - self._began)
            self.say(f"{self._rows} rows, {self._failed} failed, {rate:.1f} rows/s")
            self._logged_at = now

    def say(self, what: str) -> None:
        """A line in the run's log."""
        self._log.info(f"{self._asset}: {what}")

    def end(self) -> None:
        """All shards are done."""
        self._write(done=True)

    def _write(self, *, done: bool) -> None:
        if self._file is None:
            return
        state = {"rows": self._rows, "failed": self._failed, "done": done}
        part = self._file.with_name(self._file.name + ".part")
        part.write_bytes(encode(state))
        part.replace(self._file)
