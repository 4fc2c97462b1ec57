"""Frames of clips as engines want them, and what they leave on the row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dataflow_dagster.engines.session import Answer, Answered, Request, Session
from dataflow_dagster.media.frames import Frames

_TICKS_PER_S: Final = 1000


def on_a_clock(frames: Frames) -> dict[str, Any]:
    """When frames show, in the terms of transformers' VideoMetadata, which vLLM has too.

    A clip of so many ticks stands for the real one, so that models which are told when a frame
    shows are told its true time, whatever the rates.
    """
    ticks = [round(time * _TICKS_PER_S) for time in frames.times]
    _, height, width, _ = frames.pixels.shape
    return {
        "total_num_frames": max(ticks[-1] + 1, round(frames.duration * _TICKS_PER_S)),
        "fps": float(_TICKS_PER_S),
        "width": width,
        "height": height,
        "duration": max(frames.duration, 1 / _TICKS_PER_S),
        "video_backend": "pyav",
        "frames_indices": ticks,
    }


def alike(batch: Sequence[Request]) -> list[list[Request]]:
    """Parts of a batch whose clips have as many frames: some processors stack them."""
    parts: dict[int, list[Request]] = {}
    for request in batch:
        count = 0 if request.frames is None else len(request.frames.times)
        parts.setdefault(count, []).append(request)
    return list(parts.values())


class FramesTold:
    """A session whose answers tell which frames they were made of.

    Args:
        session: Of the engine.
        prompt: In its template, which processes that decode clips need not load.
    """

    def __init__(self, session: Session, prompt: str) -> None:
        self._session = session
        self._prompt = prompt
        self._told: dict[int, Mapping[str, Any]] = {}

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`; those of the engine's session."""
        return getattr(self._session, "notes", {})

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`."""
        for number, answer in self._session.answers(self._noted(requests)):
            told = self._told.pop(number, {})
            if isinstance(answer, Answer):
                yield number, answer._replace(details={**answer.details, **told})
            else:
                yield number, answer

    def close(self) -> None:
        """See `Session.close`."""
        self._session.close()

    def _noted(self, requests: Iterator[Request]) -> Iterator[Request]:
        for request in requests:
            if request.frames is not None:
                self._told[request.number] = request.frames.details()
            yield request._replace(prompt=self._prompt)
