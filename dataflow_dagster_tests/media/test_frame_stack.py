from fractions import Fraction

import av
import numpy as np
import pytest

from dataflow_dagster.media import frame_stack
from dataflow_dagster.media.frame_stack import FrameStack, scaled_size
from dataflow_dagster_tests.media.clips_made import numbered, numbers_of


def frame(number: int, width: int = 128, height: int = 64) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(numbered(number, width, height), format="rgb24")


@pytest.mark.parametrize("count", [1, 5, 9])
@pytest.mark.parametrize("first_bytes", [1, 256 << 20])
def test_as_many_frames_come_out_as_went_in(
    count: int, first_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_stack, "_FIRST_BYTES", first_bytes)
    stack = FrameStack(9)
    for number in range(count):
        stack.add(frame(number))
    pixels = stack.pixels()
    assert pixels.shape == (count, 64, 128, 3)
    assert numbers_of(pixels) == [*range(count)]
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("size", [(127, 63), (31, 16)])
def test_lines_that_are_padded_in_memory_are_read_without_the_padding(
    size: tuple[int, int],
) -> None:
    stack = FrameStack(1)
    stack.add(frame(9, *size))
    assert (stack.pixels()[0] == numbered(9, *size)).all()


def test_frames_of_another_size_take_that_of_the_first() -> None:
    stack = FrameStack(2)
    stack.add(frame(3))
    stack.add(frame(4, 256, 128))
    assert numbers_of(stack.pixels()) == [3, 4]
    assert stack.pixels().shape[1:] == (64, 128, 3)


def test_pixels_that_are_no_squares_are_made_square() -> None:
    assert scaled_size((720, 576), Fraction(16, 15), None) == (768, 576)
    assert scaled_size((1, 10_000), None, 100) == (1, 100)
    stack = FrameStack(1, Fraction(2), 64 * 32)
    stack.add(frame(7, 64, 64))
    assert stack.pixels().shape == (1, 32, 64, 3)
    assert np.all(numbers_of(stack.pixels()) == np.array([7]))


def test_no_frame_at_all_is_told() -> None:
    with pytest.raises(ValueError, match="no frame"):
        FrameStack(3).pixels()
