"""Video files opened and told apart from what is none, by PyAV."""

import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from collections.abc import Generator

    from av.container import InputContainer
    from av.video.stream import VideoStream

VIDEO_ENDINGS: Final = frozenset(
    (
        *(".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv"),
        *(".ts", ".webm", ".wmv"),
    )
)
"""What files of videos are usually called; what they are is told by their bytes."""

_DEMUXERS: Final = "mov,matroska,webm,avi,flv,gif,mpegts,mpeg,asf,ogg"
"""FFmpeg's readers of files that hold their frames themselves.

Playlists (hls, dash, concat, sdp, image2) are left out: a row could name one that makes FFmpeg
open other files, or addresses of the network.
"""
_OPTIONS: Final = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
_THREADS: Final = 1
"""Rows are decoded beside each other; more threads for one would only hold more frames."""


@contextmanager
def opened_video(path: Path) -> "Generator[tuple[InputContainer, VideoStream]]":
    """The container and its first stream of moving pictures; closed at the end.

    What FFmpeg raises while it is open is told as the row's.

    Raises:
        RowError: ``missing_file``, ``not_a_file``, ``unreadable_file``, ``empty_file``,
            ``corrupt_video``, or ``no_video``: there is sound alone.
    """
    import av
    from av.error import FFmpegError

    look_at(path)
    try:
        # file: as FFmpeg would take a name with a colon for a protocol.
        with av.open(
            f"file:{path}", options=dict(_OPTIONS), metadata_errors="replace"
        ) as container:
            stream = _moving(path, container)
            stream.codec_context.thread_count = _THREADS
            yield container, stream
    except FFmpegError as broken:
        said = f"{path}: cannot be decoded: {broken.strerror}"
        raise RowError("corrupt_video", said) from broken


def look_at(path: Path) -> None:
    """Tell a path that can be no video before FFmpeg has to.

    Raises:
        RowError: ``missing_file``, ``not_a_file``, ``unreadable_file`` or ``empty_file``.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError) as missing:
        raise RowError("missing_file", f"{path}: there is no such file") from missing
    except (OSError, ValueError) as refused:
        raise RowError("unreadable_file", f"{path}: {refused}") from refused
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, socket or device"
        raise RowError("not_a_file", f"{path} is {what}; a video is a file")
    if found.st_size == 0:
        raise RowError("empty_file", f"{path} has 0 bytes")
    _check_readable(path)


def _check_readable(path: Path) -> None:
    """FFmpeg says of some broken files, too, that what it tried is not permitted."""
    try:
        with path.open("rb"):
            return
    except OSError as refused:
        raise RowError("unreadable_file", f"{path}: {refused.strerror}") from refused


def _moving(path: Path, container: Any) -> "VideoStream":
    from av.stream import Disposition

    found: list[Any] = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic  # a song's cover
    ]
    kinds = {stream.type for stream in container.streams}
    if found and found[0].codec_context is not None:
        return found[0]
    if found or kinds <= {"data"}:
        raise RowError("corrupt_video", f"{path}: its header is cut off, or of no known codec")
    holds = ", ".join(sorted(kinds))
    raise RowError("no_video", f"{path} has no moving pictures, it holds {holds}")
