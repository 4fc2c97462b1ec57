"""One video file being read: its packets from wherever they are wanted."""

from contextlib import ExitStack, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Self

from dataflow_dagster.media.video_files import opened_video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_TELL_DECODING_ALONE: Final = frozenset({"avi"})
"""FFmpeg's names of formats whose packets tell when they are decoded, not when they show."""
_TELL_IN_ORDER_ALONE: Final = _TELL_DECODING_ALONE | {"mpeg"}
"""Those whose frames' times are told right only where all before them were read."""


class VideoFile:
    """A file's first stream of moving pictures; a context that closes it.

    Args:
        path: Of the file.

    Attributes:
        container: Of the file as it was opened last.
        stream: Its moving pictures.
    """

    container: "InputContainer"
    stream: "VideoStream"

    def __init__(self, path: "Path") -> None:
        self.path = path
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Raises RowError, as `opened_video`."""
        self.begin_anew()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._opened.__exit__(kind, raised, trace)

    def begin_anew(self) -> None:
        """Open it again: of some formats FFmpeg cannot seek the beginning."""
        self._opened.close()
        self.container, self.stream = self._opened.enter_context(opened_video(self.path))
        self.time_base = Fraction(self.stream.time_base or 1)
        self._format = self.container.format.name

    def seek(self, ticks: int) -> bool:
        """Go on at the key frame before, or about there; False: the format cannot."""
        from av.error import FFmpegError

        try:
            self.container.seek(ticks, stream=self.stream)
        except FFmpegError:
            return False
        return True

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """Whole ones: the last of a file that was cut off is not.

        Raises:
            FFmpegError: No further one can be read.
        """
        # At the end PyAV asks for streams that appeared on the way, which it does not know:
        # https://github.com/PyAV-Org/PyAV/blob/v18.1.0/av/container/input.py#L227
        with suppress(IndexError):
            for packet in self.container.demux(self.stream):
                if packet.size and not packet.is_corrupt and self._is_whole(packet):
                    yield packet

    def _is_whole(self, packet: "Packet[VideoStream]") -> bool:
        """FFmpeg marks no gif's frame that was cut off; each ends with an empty block, or all."""
        return self._format != "gif" or memoryview(packet)[-1] in b"\0;"

    @property
    def tells_decoding_alone(self) -> bool:
        """Whether its packets tell when they are decoded, and not when they show."""
        return self._format in _TELL_DECODING_ALONE

    @property
    def tells_in_order_alone(self) -> bool:
        """Whether its frames' times are right only where all before them were read."""
        all_show_at_once = self.stream.codec_context.codec.intra_only
        return self._format in _TELL_IN_ORDER_ALONE and not all_show_at_once

    @property
    def frame_ticks(self) -> Fraction | None:
        """How long a frame shows, on average; None: unknown."""
        rate = self.stream.average_rate or self.stream.guessed_rate or self.stream.base_rate
        return None if not rate else 1 / (rate * self.time_base)

    @property
    def begins(self) -> int | None:
        """When the earliest of its streams begins, in ticks: where players begin to count."""
        container: Any = self.container  # its stubs leave out that there may be none
        began = container.start_time
        return None if began is None else round(Fraction(began, 1_000_000) / self.time_base)

    @property
    def told_s(self) -> Fraction | None:
        """Up to when its header says that the clip goes on, from where `begins` is; None: nothing.

        Of a Matroska stream a tag tells, of other formats' streams their headers.
        """
        if self.stream.duration:
            late = (self.stream.start_time or 0) - (self.begins or 0)
            return (self.stream.duration + max(late, 0)) * self.time_base
        return _tagged_s(self.stream) or (
            Fraction(self.container.duration, 1_000_000) if self.container.duration else None
        )


def _tagged_s(stream: "VideoStream") -> Fraction | None:
    """``DURATION``, ``00:00:04.000000000``, is the time of the stream's end."""
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None
