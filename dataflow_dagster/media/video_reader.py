"""Moving pictures looked at wherever they are wanted, a few frames in memory."""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from dataflow_dagster.media.video_file import VideoFile

_FAR: Final = 2**53
"""Ticks; later than any frame."""
_FIRST_REACH_S: Final = 1
_IN_ORDER_S: Final = 600
"""So much of a clip is decoded from its beginning where only that tells its frames' times."""


@dataclass(frozen=True, slots=True)
class Span:
    """When a clip shows, in ticks.

    Attributes:
        origin: What players call 0 seconds: where the earliest stream of its file begins.
        first: Its first frame begins to show.
        last: Its last frame does.
        end: Its last frame ends.
    """

    origin: int
    first: int
    last: int
    end: int


class VideoReader:
    """Gives the frame that shows at a time; times are ticks of the file's time base.

    Near frames are decoded one after the other, far ones are sought: the file is read at the key
    frame before, and decoded from there, so that the very frame is given. How far is far is
    learned: a search that lands behind what was decoded anyway has cost that much twice.

    Args:
        file: Opened; the reader alone reads it.

    Attributes:
        slack: A frame that begins within so many ticks of a time shows at it: containers round.
    """

    def __init__(self, file: "VideoFile") -> None:
        self._file = file
        self._reach = int(_FIRST_REACH_S / file.time_base)
        self._in_order = int(_IN_ORDER_S / file.time_base) if file.tells_in_order_alone else -1
        self._can_seek = True
        ticks = file.frame_ticks
        self.slack = 1 if ticks is not None and ticks >= 2 else 0
        self._shown: VideoFrame | None = None
        self._next: VideoFrame | None = None
        self._decoded: Iterator[VideoFrame] = iter(())
        self._first = self._restart()

    def span(self) -> Span | None:
        """When the clip shows, whatever its header says; None: no frame can be decoded.

        The packets after the last key frame tell the end, of which none is decoded; in a file
        that cannot be sought, all packets do.
        """
        first = self._first
        if first is None:
            return None
        last, lasts = self._latest() or (first, 0)
        self._shown = self._next = None  # what comes next is not what came before
        last = max(first, last)
        begins = self._file.begins
        origin = first if begins is None else min(begins, first)
        return Span(origin, first, last, last + (lasts or int(self._file.frame_ticks or 0)))

    def show(self, wanted: int) -> "VideoFrame | None":
        """The latest frame that has begun at `wanted`, or the first one; None: there is none."""
        wanted += self.slack
        if self._is_behind(wanted) or self._is_far(wanted):
            self._go_to(wanted)
        while self._next is not None and (self._shown is None or time_of(self._next) <= wanted):
            self._shown, self._next = self._next, next(self._decoded, None)
        return self._shown

    def _is_behind(self, wanted: int) -> bool:
        current = self._next if self._shown is None else self._shown
        return current is None or time_of(current) > wanted

    def _is_far(self, wanted: int) -> bool:
        if self._next is None or not self._can_seek or self._is_exact_in_order(wanted):
            return False
        return wanted - time_of(self._next) > self._reach

    def _is_exact_in_order(self, wanted: int) -> bool:
        return wanted - (self._first or 0) <= self._in_order

    def _go_to(self, wanted: int) -> None:
        """Go on at a frame at or before `wanted`."""
        if self._can_seek and not self._is_exact_in_order(wanted):
            before = None if self._next is None else time_of(self._next)
            landed = self._seek(wanted)
            if landed is not None:
                if before is not None and landed <= before <= wanted:
                    self._reach = max(2 * (wanted - landed), self._reach)
                return
            self._can_seek = wanted - (self._first or 0) <= self._reach
        self._file.begin_anew()
        self._restart()

    def _seek(self, wanted: int) -> int | None:
        """Where it landed; some formats land late and are asked again. None: always late."""
        for target in (wanted, *(wanted - self._reach * 4**times for times in range(3))):
            if not self._file.seek(target):
                return None
            landed = self._restart()
            if landed is not None and landed <= max(wanted, self._first or 0):
                return landed
        return None

    def _restart(self) -> int | None:
        """Decode from where the file is read; when the first frame there shows."""
        frames = self._counted() if self._file.tells_decoding_alone else self._timed()
        self._decoded = (frame for frame in frames if not frame.is_corrupt)
        self._shown, self._next = None, next(self._decoded, None)
        return None if self._next is None else time_of(self._next)

    def _latest(self) -> tuple[int, int] | None:
        """When the last frame begins to show, and how long it does, as its packet says."""
        second = int(_FIRST_REACH_S / self._file.time_base)
        told = self._file.told_s
        found = None
        if self._in_order < 0 or told is None or told > _IN_ORDER_S:
            found = self._latest_after(_FAR)
        if found is not None:  # some formats land behind frames that show later
            return max(found, self._latest_after(found[0] - second) or found)
        self._file.begin_anew()
        return self._latest_here()

    def _latest_after(self, ticks: int) -> tuple[int, int] | None:
        return self._latest_here() if self._file.seek(ticks) else None

    def _latest_here(self) -> tuple[int, int] | None:
        from av.error import FFmpegError

        latest: tuple[int, int] | None = None
        try:
            for packet in self._file.packets():
                if not packet.is_discard:
                    found = (self._time_of(packet), packet.duration or 0)
                    latest = found if latest is None else max(latest, found)
        except FFmpegError:  # what was read before is there
            return latest
        return latest

    def _time_of(self, packet: "Packet[VideoStream]") -> int:
        if self._file.tells_decoding_alone and packet.dts is not None:
            return packet.dts
        return time_of(packet)

    def _timed(self) -> "Iterator[VideoFrame]":
        for packet in self._file.packets():
            yield from packet.decode()
        yield from self._file.stream.codec_context.decode(None)

    def _counted(self) -> "Iterator[VideoFrame]":
        """Frames come as they show; the first has the earliest time of any packet, and so on."""
        times: list[int] = []
        for packet in self._file.packets():
            heappush(times, self._time_of(packet))
            yield from _told(packet.decode(), times)
        yield from _told(self._file.stream.codec_context.decode(None), times)


def _told(frames: "list[VideoFrame]", times: list[int]) -> "Iterator[VideoFrame]":
    for frame in frames:
        if times:  # a field of its own comes without a packet
            frame.pts = heappop(times)
        yield frame


def time_of(shown: "VideoFrame | Packet[VideoStream]") -> int:
    """In ticks; formats that tell no time of showing tell that of decoding."""
    time = shown.pts if shown.pts is not None else shown.dts
    return 0 if time is None else time
