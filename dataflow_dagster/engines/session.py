"""The face every engine shows a step: prepared rows in, answers out in any order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

from dataflow_dagster.rows import Row, RowError

if TYPE_CHECKING:
    from PIL.Image import Image

    from dataflow_dagster.media.clips import Clip
    from dataflow_dagster.media.frames import Frames

NOTHING: Final[Mapping[str, Any]] = {}
"""What rows share that have none of their own: one dict for each would cost as much as they do."""


class Request(NamedTuple):
    """One row made ready for an engine.

    Attributes:
        number: The output row's number; its answer comes back under it.
        seed: In [0, 2**63); the engine draws this row's random numbers from it and nothing else.
        prompt: The rendered prompt, template included.
        picture: Decoded, upright, 8-bit RGB; None where the model reads text alone.
        data_url: The picture as ``data:image/…;base64,…``, for engines that send it on.
        row: All of the row, for functions that take it.
        frames: Those of a clip that the model is to look at; None where it looks at none.
    """

    number: int
    seed: int
    prompt: str
    picture: "Image | None" = None
    data_url: str | None = None
    row: Row | None = None
    frames: "Frames | None" = None


class Answer(NamedTuple):
    """What an engine made of one request: a text, a picture or a clip.

    Attributes:
        details: What stands beside it on the row, such as token counts or a truncated prompt.
    """

    text: str | None = None
    picture: "Image | None" = None
    clip: "Clip | None" = None
    details: Mapping[str, Any] = NOTHING


Answered = tuple[int, Answer | RowError]
"""A request's number and its answer, or the error that costs this row alone."""


class Session(Protocol):
    """An opened engine. One session serves all shards of a run."""

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """Answer every request exactly once, in any order, taking requests as they are needed.

        The engine pulls from `requests` (which may wait for decoding) only as far ahead as it
        needs to stay busy, so that memory stays flat. An exception other than a RowError means
        the engine itself failed and ends the shard.
        """
        ...

    def close(self) -> None:
        """Give back memory, GPU and child processes. Called once."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A session that has something to say of itself, which then stands in the manifest."""

    @property
    def notes(self) -> Mapping[str, str]:
        """Such as ``batch_size: 4, for want of memory``; may change with every row."""
        ...


def notes_of(session: Session) -> Mapping[str, str]:
    """A session's notes; empty for one that takes none."""
    return session.notes if isinstance(session, Noting) else {}


@dataclass(frozen=True, slots=True)
class Engine:
    """Which library answers, known without loading it.

    Attributes:
        name: ``vllm``, ``transformers``, ``diffusers``, ...
        version: The installed library's version.
        precision: ``float32``, ``bfloat16``, ...; part of every row's key.
        device: ``cpu`` or ``cuda``.
    """

    name: str
    version: str
    precision: str
    device: str
