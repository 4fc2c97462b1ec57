"""Frames of a clip: which, how large, and the pixels; the same for every engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow_dagster.media.frame_stack import FrameStack
from dataflow_dagster.media.video_file import VideoFile
from dataflow_dagster.media.video_reader import Span, VideoReader, time_of
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from numpy import ndarray

_SHORTER_BY_S = 0.25
_SHORTER_BY_SHARE = 0.9
_NEARLY = Fraction(1, 100)


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

    def times(self, first: int, last: int, per_second: Fraction, slack: int = 0) -> list[int]:
        """When the frames show, in ticks, of which there are `per_second`.

        Args:
            first: When the first frame shows that may be chosen.
            last: When the last one does.
            per_second: Ticks.
            slack: Ticks by which frames may begin later than they were meant to.
        """
        if self.fps is not None:
            step = per_second / Fraction(str(self.fps))
            if int((last - first) / step) < self.num_frames:
                count = min(int((last - first + slack) / step) + 1, self.num_frames)
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
        times: When each of them begins to show, in seconds from the clip's beginning, which is that
            of its sound where that is earlier.
        duration: Of the clip, from there up to where its last frame ends, in seconds.
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
    """The chosen frames between `start` and `end` (seconds, as players count), each at most once.

    However long the clip is, memory holds the chosen frames and a few being decoded, and a file
    that can be sought is read around them alone. May be called from threads.

    Raises:
        RowError: As `opened_video`; ``bad_value``: no time of this clip lies between.
    """
    with VideoFile(path) as file:
        reader = VideoReader(file)
        span = reader.span()
        if span is None:
            raise RowError("corrupt_video", f"{path}: none of its frames can be decoded")
        begin, finish = _between(path, span, file.time_base, (start, end))
        times = choice.times(begin, finish, 1 / file.time_base, reader.slack)
        stack = FrameStack(len(times), file.stream.sample_aspect_ratio, choice.max_pixels)
        shown = _show(reader, times, stack)
        if not shown:
            raise RowError("corrupt_video", f"{path}: none of its frames can be decoded")
        return _frames(stack.pixels(), shown, span, file)


def _show(reader: VideoReader, times: Sequence[int], stack: FrameStack) -> list[int]:
    """Put the frames on the stack; when each of them shows. Two times may have one frame."""
    shown: dict[int, None] = {}
    for time in times:
        frame = reader.show(time)
        if frame is None:
            continue
        at = time_of(frame)
        if at not in shown:
            shown[at] = None
            stack.add(frame)
    return list(shown)


def _frames(
    pixels: "ndarray[Any, Any]", shown: Sequence[int], span: Span, file: VideoFile
) -> Frames:
    told = file.told_s
    duration = float((span.end - span.origin) * file.time_base)
    longer = told is not None and (
        duration < _SHORTER_BY_SHARE * told and duration + _SHORTER_BY_S < told
    )
    return Frames(
        pixels=pixels,
        times=[_rounded((at - span.origin) * file.time_base) for at in shown],
        duration=_rounded(duration),
        told_duration=_rounded(told) if told is not None and longer else None,
    )


def _between(
    path: Path, span: Span, base: Fraction, part: tuple[float | None, float | None]
) -> tuple[int, int]:
    """The part of the clip that is asked for, in ticks; the last frame shows until the end."""
    start, end = part
    begin = span.first if start is None else span.origin + _ticks(start, base)
    finish = span.last if end is None else span.origin + _ticks(end, base)
    is_over = begin >= span.end and begin > span.last
    if is_over or finish < span.first or (end is not None and finish < begin):
        first, ends = (_rounded((at - span.origin) * base) for at in (span.first, span.end))
        asked = f"from {start or 0} to {'its end' if end is None else end} s"
        raise RowError(
            "bad_value", f"{path}: {asked} lies no frame; they show from {first} to {ends} s"
        )
    return max(span.first, min(begin, span.last)), min(finish, span.last)


def _ticks(seconds: float, base: Fraction) -> int:
    """The last tick by then; a float may lie a little before what it was meant to be."""
    return int(Fraction(seconds) / base + _NEARLY)


def _rounded(seconds: float | Fraction) -> float:
    return round(float(seconds), 3)
