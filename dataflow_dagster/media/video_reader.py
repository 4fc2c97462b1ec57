"""One stream of moving pictures, looked at wherever it is wanted, a few frames in memory."""

from fractions import Fraction
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_FAR: Final = 2**53
"""Ticks; later than any frame."""
_FIRST_REACH_S: Final = Fraction(1)
_TELL_ORDER_ALONE: Final = frozenset({"avi"})
"""FFmpeg's names of formats whose packets tell when they are decoded, not when they show."""


class VideoReader:
    """Gives the frame that shows at a time; times are ticks of the stream's time base.

    Near frames are decoded one after the other, far ones are sought: the file is read at the key
    frame before, and decoded from there, so that the very frame is given. How far is far is
    learned: a search that lands behind what was decoded anyway has cost that much twice.
    """

    def __init__(self, container: "InputContainer", stream: "VideoStream") -> None:
        self._container = container
        self._stream = stream
        self.time_base = Fraction(stream.time_base or 1)
        self._reach = int(_FIRST_REACH_S / self.time_base)
        self._in_order = container.format.name in _TELL_ORDER_ALONE
        self._decoded = self._decode()
        self._shown: VideoFrame | None = None
        self._next: VideoFrame | None = next(self._decoded, None)
        self.first = None if self._next is None else _time_of(self._next)

    def last(self) -> int:
        """When the last frame begins to show, whatever the header says.

        The packets after the last key frame tell it, of which none is decoded; in a file that
        cannot be sought, all packets do.
        """
        found = self._last_after(_FAR)
        found = self._last_after(-_FAR) if found is None else found
        self._shown = self._next = None  # what comes next is not what came before
        return max(found or 0, self.first or 0)

    def show(self, wanted: int) -> "VideoFrame | None":
        """The latest frame at or before `wanted`, or the first one; None: there is none."""
        if self._is_behind(wanted) or self._is_far(wanted):
            self._seek(wanted)
        while self._next is not None and (self._shown is None or _time_of(self._next) <= wanted):
            self._shown, self._next = self._next, next(self._decoded, None)
        return self._shown

    def _is_behind(self, wanted: int) -> bool:
        current = self._next if self._shown is None else self._shown
        return current is None or _time_of(current) > wanted

    def _is_far(self, wanted: int) -> bool:
        return self._next is not None and wanted - _time_of(self._next) > self._reach

    def _seek(self, wanted: int) -> None:
        """Go on at a frame at or before `wanted`; some formats land late and are asked again."""
        before = None if self._next is None else _time_of(self._next)
        early = [wanted - self._reach * 4**times for times in range(3)]
        landed: int | None = None
        for target in (wanted, *early, -_FAR):
            landed = self._land(target)
            if landed is not None and landed <= max(wanted, self.first or 0):
                break
        if before is not None and landed is not None and landed <= before <= wanted:
            self._reach = max(2 * (wanted - landed), self._reach)

    def _land(self, target: int) -> int | None:
        """Decode from about the key frame before `target`; when the first frame there shows."""
        from av.error import FFmpegError

        try:
            self._container.seek(target, stream=self._stream)
        except FFmpegError:
            self._container.seek(-_FAR)  # what cannot be sought can be begun anew
        self._decoded = self._decode()
        self._shown, self._next = None, next(self._decoded, None)
        return None if self._next is None else _time_of(self._next)

    def _last_after(self, ticks: int) -> int | None:
        from av.error import FFmpegError

        try:
            self._container.seek(ticks, stream=self._stream)
            times = [_time_of(packet) for packet in self._packets() if not packet.is_discard]
        except FFmpegError:
            return None
        return max(times, default=None)

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Whole ones: the last of a file that was cut off is not."""
        for packet in self._container.demux(self._stream):
            if packet.size and not packet.is_corrupt:
                yield packet

    def _decode(self) -> "Iterator[VideoFrame]":
        frames = self._decode_counting() if self._in_order else self._decode_timed()
        return (frame for frame in frames if not frame.is_corrupt)

    def _decode_timed(self) -> "Iterator[VideoFrame]":
        for packet in self._packets():
            yield from packet.decode()
        yield from self._stream.codec_context.decode(None)

    def _decode_counting(self) -> "Iterator[VideoFrame]":
        """Frames come as they show; the first has the earliest time of any packet, and so on."""
        times: list[int] = []
        for packet in self._packets():
            heappush(times, _time_of(packet))
            yield from _timed(packet.decode(), times)
        yield from _timed(self._stream.codec_context.decode(None), times)


def _timed(frames: "list[VideoFrame]", times: list[int]) -> "Iterator[VideoFrame]":
    for frame in frames:
        if times:  # a field of its own comes without a packet
            frame.pts = heappop(times)
        yield frame


def _time_of(shown: "VideoFrame | Packet[VideoStream]") -> int:
    """In ticks; formats that tell no time of showing tell that of decoding."""
    time = shown.pts if shown.pts is not None else shown.dts
    return 0 if time is None else time
