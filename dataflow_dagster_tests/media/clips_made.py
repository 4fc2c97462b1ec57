"""Clips whose every frame says its own number, in black and white blocks that survive any codec."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

COLUMNS, ROWS = 8, 2
WIDTH, HEIGHT = 128, 64


def numbered(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A frame with the number's bits as blocks, the lowest first."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for bit in range(COLUMNS * ROWS):
        x, y = bit % COLUMNS * (width // COLUMNS), bit // COLUMNS * (height // ROWS)
        pixels[y : y + height // ROWS, x : x + width // COLUMNS] = 255 * (number >> bit & 1)
    return pixels


def number_of(pixels: np.ndarray) -> int:
    """What `numbered` wrote."""
    height, width = pixels.shape[:2]
    centres = [
        pixels[height * (2 * row + 1) // (2 * ROWS), width * (2 * column + 1) // (2 * COLUMNS)]
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]
    return sum(1 << bit for bit, centre in enumerate(centres) if centre.mean() > 127)


def numbers_of(frames: np.ndarray) -> list[int]:
    return [number_of(pixels) for pixels in frames]


def write_video(
    path: Path,
    count: int = 100,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    key_every: int = 30,
    b_frames: int | None = None,
    rate: Fraction | int = 25,
    begin: int = 0,
    rotation: int = 0,
    time_ms: Callable[[int], int] | None = None,
    draw: Callable[[int], np.ndarray] | None = None,
    coding: dict[str, str] | None = None,
    sound_s: float = 0,
    **options: str,
) -> Path:
    """`count` frames at `rate` a second from the frame `begin` on, or at `time_ms` of their number.

    Args:
        b_frames: In a row at most; None: as the encoder likes.
        coding: The encoder's own options.
        sound_s: Seconds of silence from the file's beginning on.
        options: The container's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=coding or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = key_every
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        stream.codec_context.time_base = (
            1 / Fraction(rate) if time_ms is None else Fraction(1, 1000)
        )
        if rotation:
            stream.set_display_rotation(rotation)
        if sound_s:
            _add_silence(container, sound_s)
        for number in range(count):
            pixels = draw(number) if draw else numbered(number, *size)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number + begin if time_ms is None else time_ms(number)
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Half a second of silence."""
    with av.open(str(path), "w") as container:
        _add_silence(container, 0.5)
    return path


def _add_silence(container: Any, seconds: float) -> None:
    stream = container.add_stream("aac", rate=44100, layout="mono")
    for number in range(round(seconds * 44100 / 1024)):
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.rate, frame.pts = 44100, number * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def repeat_video(source: Path, target: Path, times: int, seconds: float) -> Path:
    """The same packets again and again, `seconds` apart: hours of video in a second."""
    with av.open(str(source)) as given, av.open(str(target), "w") as container:
        stream = given.streams.video[0]
        copied = container.add_stream_from_template(stream)
        base: Any = stream.time_base
        packets = [packet for packet in given.demux(stream) if packet.size]
        parts = [(bytes(p), p.pts or 0, p.dts or 0, p.is_keyframe, p.duration) for p in packets]
        for turn in range(times):
            shift = int(turn * seconds / base)
            for content, pts, dts, is_key, duration in parts:
                packet: Any = av.Packet(content)
                packet.stream, packet.time_base = copied, base
                packet.pts, packet.dts, packet.duration = pts + shift, dts + shift, duration
                packet.is_keyframe = is_key
                container.mux(packet)
    return target
