"""A bar of rows per step, and what steps say, read from what their processes write."""

import os
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from dataflow_dagster.factory.reporting import PROGRESS_FOLDER, duration
from dataflow_dagster.places import is_url
from dataflow_dagster.rows import decode
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS

LOOK_EVERY_S = 0.2


@contextmanager
def told_folder(pipeline: PipelineSpec) -> Generator[Path]:
    """Where steps tell how far they are; processes that begin meanwhile know of it."""
    with _progress_folder(pipeline) as folder, _environment(PROGRESS_FOLDER, folder):
        yield Path(folder)


@contextmanager
def watched(pipeline: PipelineSpec, folder: Path) -> Generator[None]:
    """Draw bars on standard error of what steps tell in `folder`, and above them what they say."""
    bars = _Bars(pipeline, folder)
    stop = threading.Event()
    thread = threading.Thread(target=bars.draw_until, args=(stop,), daemon=True)
    with bars.progress:
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _progress_folder(pipeline: PipelineSpec) -> "tempfile.TemporaryDirectory[str]":
    """On Ray it is in ``base_folder``, which all nodes see."""
    if pipeline.executor != "ray":
        return tempfile.TemporaryDirectory()
    base_folder = pipeline.with_environment(os.environ).base_folder
    if is_url(base_folder):
        return tempfile.TemporaryDirectory()
    base = Path(base_folder).absolute()
    base.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=base, prefix=".progress_")


class _Bars:
    def __init__(self, pipeline: PipelineSpec, folder: Path) -> None:
        self._folder = folder
        self._assets = [RAW_META, *(step.asset for step in pipeline.steps), RESULTS]
        self._tasks: dict[str, TaskID] = {}
        self._heard = dict.fromkeys(self._assets, 0)
        self.progress = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rows  {task.fields[failed]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
        )

    def draw_until(self, stop: threading.Event) -> None:
        """Look again and again; once more after `stop`, so that bars end full."""
        while not stop.wait(LOOK_EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        for asset in self._assets:
            state = _state(self._folder / f"{asset}.json")
            if state is None:
                return
            self._show(asset, state)
            self._tell(asset)

    def _tell(self, asset: str) -> None:
        """Print the lines that a step has said since the last look."""
        for line in _said(self._folder / f"{asset}.said", self._heard[asset]):
            self._heard[asset] += len(line)
            said = line.decode("utf-8", errors="replace").rstrip()
            self.progress.console.print(
                f"{asset}: {said}", markup=False, highlight=False, soft_wrap=True
            )

    def _show(self, asset: str, state: dict[str, Any]) -> None:
        """Draw one bar."""
        if asset not in self._tasks:
            self._tasks[asset] = self.progress.add_task(asset, total=None, failed="", left="")
        task = self._tasks[asset]
        self.progress.update(
            task,
            completed=state["rows"],
            total=state["rows"] if state["done"] else state["total"],
            failed=f"{state['failed']} failed" if state["failed"] else "",
            left=self._left(task, done=state["done"]),
        )
        if state["done"]:
            self.progress.stop_task(task)

    def _left(self, task: TaskID, *, done: bool) -> str:
        """How fast, and how long it will take: of the rows seen in the last half minute."""
        told = next(one for one in self.progress.tasks if one.id == task)
        if done or not told.speed:
            return ""
        left = "" if told.time_remaining is None else f"  {duration(told.time_remaining)} left"
        return f"{told.speed:,.1f} rows/s{left}"


def _state(path: Path) -> dict[str, Any] | None:
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError):
        return None


def _said(path: Path, begin: int) -> list[bytes]:
    """Whole lines of a file from a byte on; it may grow, or not be there yet."""
    try:
        with path.open("rb") as file:
            file.seek(begin)
            return [line for line in file if line.endswith(b"\n")]
    except OSError:
        return []


@contextmanager
def _environment(name: str, value: str) -> Generator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
