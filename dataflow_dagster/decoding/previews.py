"""Small pictures of clips for pages: nobody waits long for one, and none of them ends a step."""

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from dataflow_dagster.decoding.decoders import TIMEOUT, DecoderError, Decoders
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from PIL.Image import Image

PREVIEW_S: Final = 10.0
MOST_LATE: Final = 3
"""After so many that took too long, no further one is begun: a page may have a hundred clips."""


class Previews:
    """Pictures of clips, made in one process that is begun when first needed; a context.

    Args:
        picture: Makes one of a clip; another process must be able to import it.
        limit_s: Seconds that one may take.
    """

    def __init__(self, picture: "Callable[[Path], Image]", limit_s: float = PREVIEW_S) -> None:
        self._decoders: Decoders[Path, Image] = Decoders(picture, workers=1, limit_s=limit_s)
        self._late = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._decoders.close()

    def of(self, clip: "Path") -> "Image | RowError":
        """The clip's picture, or why there is none."""
        if self._late == MOST_LATE:
            return RowError(TIMEOUT, f"{clip}: not looked at, as {MOST_LATE} others took too long")
        try:
            made = self._decoders.submit(clip, str(clip), _as_it_is).result()
        except DecoderError as none:
            return RowError("no_decoder", str(none))
        self._late += isinstance(made, RowError) and made.kind == TIMEOUT
        return made


def _as_it_is(made: "Image | RowError") -> "Image | RowError":
    return made
