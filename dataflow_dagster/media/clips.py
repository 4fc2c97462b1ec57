"""Clips made by a model, written so that every player takes them, and whole or absent."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from numpy import ndarray


@dataclass(frozen=True, slots=True)
class Clip:
    """Moving pictures in memory.

    Attributes:
        pixels: 8-bit RGB, (frames, height, width, 3); one frame at least.
        fps: Frames shown in a second.
    """

    pixels: "ndarray[Any, Any]"
    fps: float


@dataclass(frozen=True, slots=True)
class _Encoder:
    """How files of one ending are written.

    Attributes:
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the encoder.
        pixel_format: As the encoder is given the frames.
        options: The encoder's.
        even: Height and width must be even.
    """

    container: str
    codec: str
    pixel_format: str
    options: Mapping[str, str]
    even: bool = False


_ENCODERS: Final = {
    # CRF 17: a loss that hardly anybody sees. https://trac.ffmpeg.org/wiki/Encode/H.264#crf
    ".mp4": _Encoder("mp4", "libx264", "yuv420p", {"crf": "17"}, even=True),
    # Constant quality asks for a bit rate of 0. https://trac.ffmpeg.org/wiki/Encode/VP9
    ".webm": _Encoder("webm", "libvpx-vp9", "yuv420p", {"crf": "24", "b": "0", "row-mt": "0"}),
    ".gif": _Encoder("gif", "gif", "pal8", {}),
}
_GIF_FPS: Final = 100
_BT709: Final = 1
"""Number of the colour space, primaries and transfer in H.273."""


def clip_extension(extension: str) -> str:
    """The extension itself where it tells an encoder, else ``.mp4``."""
    return extension if extension.lower() in _ENCODERS else ".mp4"


def write_clip(clip: Clip, path: Path) -> None:
    """H.264 in mp4, VP9 in webm (both yuv420p), or a gif of 256 colours, as the ending tells.

    Equal pixels give equal bytes. H.264 wants even sides: an odd one gets its last row or column
    twice. A gif counts in hundredths of a second.

    Raises:
        ValueError: The ending is none that `clip_extension` returns.
        RowError: ``clip_not_encoded``: the format does not hold such a clip.
        OSError: The disk is full or read-only.
    """
    encoder = _ENCODERS.get(path.suffix.lower())
    if encoder is None:
        raise ValueError(f"{path}: clips are written as {', '.join(_ENCODERS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _encode_or_tell(clip, part, encoder)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _encode_or_tell(clip: Clip, path: Path, encoder: _Encoder) -> None:
    """What FFmpeg refuses is the row's; what the disk or memory does is not."""
    from av.error import FFmpegError

    _, height, width, _ = clip.pixels.shape
    shown = f"{width}x{height} pixels at fps {clip.fps:g}"
    if encoder.container == "gif" and clip.fps > _GIF_FPS:
        most = f"a gif has {_GIF_FPS} frames a second at most; mp4 and webm have more"
        raise RowError("clip_not_encoded", f"{path.stem}: fps is {clip.fps:g}; {most}")
    try:
        _encode(clip, path, encoder)
    except FFmpegError as refused:
        if isinstance(refused, (OSError, MemoryError)):
            raise
        said = f"{path.stem}: {encoder.codec} does not take {shown}: {refused.strerror}"
        raise RowError("clip_not_encoded", said) from refused


def _encode(clip: Clip, path: Path, encoder: _Encoder) -> None:
    import av

    # bitexact: no version of FFmpeg in the file; faststart: players begin before they have it all.
    options = {"fflags": "+bitexact"}
    if encoder.container == "mp4":
        options["movflags"] = "+faststart"
    with av.open(f"file:{path}", "w", format=encoder.container, options=options) as container:
        _fill(container, clip, encoder)


def _fill(container: "OutputContainer", clip: Clip, encoder: _Encoder) -> None:
    rate = Fraction(clip.fps).limit_denominator(1001)
    stream: Any = container.add_stream(encoder.codec, rate=rate, options=dict(encoder.options))
    pixels = _even(clip.pixels) if encoder.even else clip.pixels
    stream.height, stream.width = pixels.shape[1:3]
    stream.pix_fmt = encoder.pixel_format
    stream.codec_context.thread_count = 1  # the bytes of several threads depend on their number
    if encoder.pixel_format == "yuv420p":
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _BT709  # video's range, 16 to 235, has the same number
    frames = _paletted(pixels, rate) if encoder.container == "gif" else _plain(pixels)
    for frame in frames:
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _even(pixels: "ndarray[Any, Any]") -> "ndarray[Any, Any]":
    import numpy as np

    _, height, width, _ = pixels.shape
    return np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _plain(pixels: "ndarray[Any, Any]") -> "Iterator[VideoFrame]":
    """Frames in the colours of HDTV (BT.709), as their header says."""
    from av.video.frame import VideoFrame

    for number, picture in enumerate(pixels):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts = number
        yield frame


def _paletted(pixels: "ndarray[Any, Any]", rate: Fraction) -> "Iterator[VideoFrame]":
    """Frames in the 256 colours that suit the whole clip best."""
    from av.error import EOFError as EndOfFrames
    from av.video.frame import VideoFrame

    graph, source, sink = _palette_graph(pixels.shape, 1 / rate)
    for number, picture in enumerate(pixels):
        frame = VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number, 1 / rate
        source.push(frame)
    source.push(None)
    with suppress(EndOfFrames):
        while True:
            yield sink.pull()
    del graph


def _palette_graph(shape: tuple[int, ...], time_base: Fraction) -> tuple[Any, Any, Any]:
    """FFmpeg's filters: one looks for the colours in a copy of the frames, one puts them on."""
    from av.filter import Graph

    _, height, width, _ = shape
    graph: Any = Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=time_base)
    copied, looked, put = (graph.add(name) for name in ("split", "palettegen", "paletteuse"))
    sink = graph.add("buffersink")
    source.link_to(copied)
    copied.link_to(looked, 0, 0)
    copied.link_to(put, 1, 0)
    looked.link_to(put, 0, 1)
    put.link_to(sink)
    graph.configure()
    return graph, source, sink
