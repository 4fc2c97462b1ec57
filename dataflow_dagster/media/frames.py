"""Frames of a clip: which, how large, and the pixels; the same for every engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow_dagster.media.frame_stack import FrameStack
from dataflow_dagster.media.video_files import opened_video
from dataflow_dagster.media.video_reader import VideoReader
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy import ndarray

_SHORTER_BY_S = 0.25
_SHORTER_BY_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """Which frames of a clip are looked at.

    Attributes:
        num_frames: So many, evenly spaced in time, the first and the last one among them; all,
            where there are fewer; of one, the middle.
        fps: So many a second, from the first one on, where that is not more than `num_frames`.
        max_pixels: A frame with more is scaled down to it, in proportion.
    """

    num_frames: int
    fps: float | None = None
    max_pixels: int | None = None

    def times(self, first: int, last: int, per_second: Fraction) -> list[int]:
        """When the frames show, in ticks, of which there are `per_second`."""
        if self.fps is not None:
            step = per_second / Fraction(str(self.fps))
            count = int((last - first) / step) + 1
            if count <= self.num_frames:
                return [first + int(at * step) for at in range(count)]
        if self.num_frames == 1:
            return [(first + last) // 2]
        steps = self.num_frames - 1
        return [first + (last - first) * at // steps for at in range(self.num_frames)]


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one clip.

    Attributes:
        pixels: 8-bit RGB, upright, (frames, height, width, 3).
        times: When each of them shows, in seconds from the clip's beginning.
        duration: Of the clip, up to where its last frame begins to show, in seconds.
        told_duration: What its header says, where that is much more: the file was cut off, or
            its header is wrong.
    """

    pixels: "ndarray[Any, Any]"
    times: Sequence[float]
    duration: float
    told_duration: float | None = None

    def details(self) -> Mapping[str, Any]:
        """What stands of them on the row."""
        _, height, width, _ = self.pixels.shape
        told = self.told_duration
        return {
            "frames": len(self.times),
            "frame_times": list(self.times),
            "frame_width": width,
            "frame_height": height,
            "duration_s": self.duration,
            **({} if told is None else {"told_duration_s": told}),
        }


def read_frames(
    path: Path, choice: FrameChoice, start: float | None = None, end: float | None = None
) -> Frames:
    """The chosen frames between `start` and `end` (seconds), each at most once.

    However long the clip is, memory holds the chosen frames and a few being decoded, and a file
    that can be sought is read around them alone. May be called from threads.

    Raises:
        RowError: As `opened_video`; ``bad_value``: no time of this clip lies between.
    """
    with opened_video(path) as (container, stream):
        reader = VideoReader(container, stream)
        if reader.first is None:
            raise RowError("corrupt_video", f"{path}: none of its frames can be decoded")
        last = reader.last()
        begin, finish = _between(path, reader.first, last, reader.time_base, (start, end))
        times = choice.times(begin, finish, 1 / reader.time_base)
        stack = FrameStack(len(times), stream.sample_aspect_ratio, choice.max_pixels)
        shown = _show(reader, times, stack)
        if not shown:
            raise RowError("corrupt_video", f"{path}: none of its frames can be decoded")
        told = _told_s(container, stream)
    return _frames(stack.pixels(), shown, (reader.first, last, reader.time_base), told)


def _told_s(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """What the header says; None: nothing."""
    if stream.duration:
        return stream.duration * Fraction(stream.time_base or 1)
    return Fraction(container.duration, 1_000_000) if container.duration else None


def _show(reader: VideoReader, times: Sequence[int], stack: FrameStack) -> list[int]:
    """Put the frames on the stack; when each of them shows. Two times may have one frame."""
    shown: dict[int, None] = {}
    for time in times:
        frame = reader.show(time)
        if frame is None:
            continue
        at = frame.pts if frame.pts is not None else time
        if at not in shown:
            shown[at] = None
            stack.add(frame)
    return list(shown)


def _frames(
    pixels: "ndarray[Any, Any]",
    shown: Sequence[int],
    ends: tuple[int, int, Fraction],
    told: Fraction | None,
) -> Frames:
    first, last, base = ends
    duration = float((last - first) * base)
    longer = told is not None and (
        duration < _SHORTER_BY_SHARE * told and duration + _SHORTER_BY_S < told
    )
    return Frames(
        pixels=pixels,
        times=[_rounded((at - first) * base) for at in shown],
        duration=_rounded(duration),
        told_duration=_rounded(told) if told is not None and longer else None,
    )


def _between(
    path: Path,
    first: int,
    last: int,
    base: Fraction,
    part: tuple[float | None, float | None],
) -> tuple[int, int]:
    """The part of the clip that is asked for, in ticks."""
    start, end = part
    begin = first if start is None else first + round(Fraction(start) / base)
    finish = last if end is None else min(last, first + round(Fraction(end) / base))
    if begin > last or finish < begin:
        seconds = _rounded((last - first) * base)
        said = f"{path}: from {start} to {end} s lies no frame; the last one shows at {seconds} s"
        raise RowError("bad_value", said)
    return begin, finish


def _rounded(seconds: float | Fraction) -> float:
    return round(float(seconds), 3)
