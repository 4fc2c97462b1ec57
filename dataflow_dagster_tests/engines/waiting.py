"""A session that waits instead of computing, and dies, hangs or fails where it is told to."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer, Answered, Request, Session


@dataclass(frozen=True, slots=True)
class Waiting:
    """What `open` opens.

    Attributes:
        pause_s: Seconds a row takes.
        batch: Rows that are gathered before any is answered.
        deadly: Prompts at which the process dies, always.
        hangs_at: The prompt at which it sleeps for ever.
        unlucky: A file; the first process that finds it absent makes it, and dies at a row.
        opening: ``dies``, ``hangs``, ``refuses`` or works.
    """

    pause_s: float = 0.0
    batch: int = 1
    deadly: frozenset[str] = frozenset()
    hangs_at: str = ""
    unlucky: Path | None = None
    opening: str = "works"

    def open(self) -> Session:
        if self.opening == "dies":
            os._exit(3)
        if self.opening == "hangs":
            time.sleep(1000)
        if self.opening == "refuses":
            raise UnfitSettingError("dtype", "float99", "write float32")
        return WaitingSession(self)


class WaitingSession:
    """Answers name the process and its devices: ``<prompt> <pid> <CUDA_VISIBLE_DEVICES>``."""

    def __init__(self, settings: Waiting) -> None:
        self._settings = settings

    @property
    def notes(self) -> dict[str, str]:
        return {"batch_size": str(self._settings.batch)}

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        batch: list[Request] = []
        for request in requests:
            batch.append(request)
            if len(batch) == self._settings.batch:
                yield from map(self._answer, batch)
                batch = []
        yield from map(self._answer, batch)

    def close(self) -> None:
        pass

    def _answer(self, request: Request) -> Answered:
        settings = self._settings
        time.sleep(settings.pause_s)
        if request.prompt == settings.hangs_at:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            time.sleep(1000)
        if request.prompt in settings.deadly:
            os.kill(os.getpid(), signal.SIGSEGV)
        if settings.unlucky is not None and not settings.unlucky.exists():
            settings.unlucky.touch()
            os._exit(9)
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        picture = None if request.picture is None else request.picture.transpose(0)
        return request.number, Answer(f"{request.prompt} {os.getpid()} {devices}", picture)
