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
    rotation: int = 0,
    time_ms: Callable[[int], int] | None = None,
    draw: Callable[[int], np.ndarray] | None = None,
    **options: str,
) -> Path:
    """`count` frames at 25 a second, or at `time_ms` of their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = key_every
        if time_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(count):
            pixels = draw(number) if draw else numbered(number, *size)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if time_ms is not None:
                frame.pts, frame.time_base = time_ms(number), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path: Path) -> Path:
    """Half a second of silence."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100, layout="mono")
        for number in range(20):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


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
