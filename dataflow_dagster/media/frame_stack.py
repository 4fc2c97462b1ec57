"""Frames as pixels, each written once, to the place in memory where it stays."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy import ndarray

_FIRST_BYTES: Final = 256 << 20
"""At most so much is asked for before it is known how many frames there are."""


class FrameStack:
    """8-bit RGB of one size, upright; the first frame tells which.

    Args:
        most: Frames that may come.
        pixel_aspect: Width of a stored pixel, in heights of it; None: 1.
        max_pixels: Frames with more are scaled down, in proportion.
    """

    def __init__(
        self, most: int, pixel_aspect: Fraction | None = None, max_pixels: int | None = None
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self._most = most
        self._aspect = pixel_aspect
        self._max_pixels = max_pixels
        # One for all frames: each of its own would work out the same filters anew (x0.6).
        self._reformatter = VideoReformatter()
        self._size = (0, 0)
        self._turns = 0
        self._room: ndarray[Any, Any] | None = None
        self._count = 0

    def add(self, frame: "VideoFrame") -> None:
        """Turned as the file says."""
        import numpy as np

        room = self._room_for(frame)
        width, height = self._size
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC")
        plane: Any = rgb.planes[0]
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        pixels = lines[:height, : 3 * width].reshape(height, width, 3)
        room[self._count] = np.rot90(pixels, self._turns)
        self._count += 1

    def pixels(self) -> "ndarray[Any, Any]":
        """(frames, height, width, 3); one frame at least must have been added.

        Raises:
            ValueError: None was.
        """
        if self._room is None:
            raise ValueError("no frame was added")
        self._fit(self._count)
        return self._room

    def _room_for(self, frame: "VideoFrame") -> "ndarray[Any, Any]":
        import numpy as np

        if self._room is None:
            stored = (frame.width, frame.height)
            self._size = width, height = scaled_size(stored, self._aspect, self._max_pixels)
            self._turns = round(frame.rotation / 90) % 4
            shape = (height, width, 3) if self._turns % 2 == 0 else (width, height, 3)
            first = max(1, min(self._most, _FIRST_BYTES // (3 * width * height)))
            self._room = np.empty((first, *shape), np.uint8)
        if self._count == len(self._room):
            self._fit(min(self._most, 2 * self._count))
        return self._room

    def _fit(self, count: int) -> None:
        """Memory as large as this is moved by its page table, not byte by byte."""
        if self._room is not None and len(self._room) != count:
            self._room.resize((count, *self._room.shape[1:]), refcheck=False)


def scaled_size(
    stored: tuple[int, int], pixel_aspect: Fraction | None, max_pixels: int | None
) -> tuple[int, int]:
    """Width and height, before turning, in which a frame is shown: square pixels, few enough."""
    width, height = max(1, round(stored[0] * (pixel_aspect or 1))), stored[1]
    if max_pixels is None or width * height <= max_pixels:
        return width, height
    shrunk = (max_pixels / (width * height)) ** 0.5
    height = min(max(1, int(height * shrunk)), max_pixels)
    return min(max(1, int(width * shrunk)), max_pixels // height), height
