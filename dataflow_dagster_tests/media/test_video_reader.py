"""Every container and codec: the frames told are the frames given, wherever they are."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataflow_dagster.media.clips import Clip, write_clip
from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.media.video_file import VideoFile
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.clips_made import numbered, numbers_of, repeat_video, write_video

OPEN_GOP = {"x264-params": "open-gop=1:bframes=3"}
QUIET = {"x265-params": "log-level=error:open-gop=1"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "b.mp4": ("libx264", {"b_frames": 3}),
    "all keys.mp4": ("libx264", {"key_every": 1}),
    "open.mp4": ("libx264", {"coding": OPEN_GOP}),
    "fragments.mp4": ("libx264", {"b_frames": 3, "movflags": "frag_keyframe+empty_moov"}),
    "b.mov": ("libx264", {"b_frames": 3}),
    "b.mkv": ("libx264", {"b_frames": 3}),
    "open.mkv": ("libx264", {"coding": OPEN_GOP}),
    "live.mkv": ("libx264", {"b_frames": 3, "live": "1"}),
    "b.ts": ("libx264", {"b_frames": 3}),
    "open.ts": ("libx264", {"coding": OPEN_GOP}),
    "mpeg2.ts": ("mpeg2video", {"b_frames": 2}),
    "b.flv": ("libx264", {"b_frames": 3}),
    "plain.flv": ("libx264", {"b_frames": 0}),
    "late.flv": ("libx264", {"b_frames": 3, "begin": 100}),
    "all keys.avi": ("libx264", {"key_every": 1}),
    "b.avi": ("libx264", {"b_frames": 3}),
    "open.avi": ("libx264", {"coding": OPEN_GOP}),
    "asp.avi": ("mpeg4", {"b_frames": 2}),
    "motion.avi": ("mjpeg", {"pixel_format": "yuvj420p"}),
    "b.mpg": ("mpeg2video", {"b_frames": 2}),
    "one.mpg": ("mpeg1video", {"b_frames": 2}),
    "h265.mp4": ("libx265", {"coding": QUIET}),
    "h265.mkv": ("libx265", {"coding": QUIET}),
    "av1.webm": ("libsvtav1", {"coding": {"preset": "12"}}),
    "plain.wmv": ("wmv2", {}),
}
SMALL = (64, 32)
PACKETS = {"mkv": 3200, "ts": 3200, "mp4": 3200}
PACKETS |= {"flv": 200_000, "avi": 600 * 25 + 3200}
"""Looked at of two hours: a flv's are all counted, of an avi ten minutes are decoded in order."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 frames each, 25 a second, a key frame every 12."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, (codec, options) in KINDS.items():
        write_video(folder / name, 60, codec=codec, size=SMALL, **{"key_every": 12, **options})
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_all_frames_of_every_kind_are_given_at_their_times(name: str, written: Path) -> None:
    frames = read_frames(written / name, FrameChoice(99))
    assert numbers_of(frames.pixels) == [*range(60)]
    assert frames.times == [pytest.approx(at / 25, abs=2e-3) for at in range(60)]
    assert frames.duration == pytest.approx(2.4, abs=2e-3)
    assert frames.told_duration is None


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("part", [(None, None), (1.3, None), (0.5, 1.9), (2.37, None)])
def test_a_part_of_every_kind_has_the_very_frames(
    part: tuple[float | None, float | None], name: str, written: Path
) -> None:
    frames = read_frames(written / name, FrameChoice(4), *part)
    begin, end = (part[0] or 0, 2.36 if part[1] is None else part[1])
    if name.endswith(".avi"):  # counts in frames
        begin, end = (int(at * 25 + 0.01) / 25 for at in (begin, end))
    wanted = np.linspace(min(begin, 2.36), end, 4)
    numbers = numbers_of(frames.pixels)
    assert frames.times == [pytest.approx(at / 25, abs=2e-3) for at in numbers]
    assert numbers == list(dict.fromkeys(int(at * 25 + 0.05) for at in wanted))


@pytest.mark.parametrize("rate", [24, Fraction(30000, 1001), 30, 60])
@pytest.mark.parametrize("ending", ["mkv", "mp4", "flv", "ts"])
def test_asked_for_as_many_as_there_are_all_come(
    ending: str, rate: Fraction | int, tmp_path: Path
) -> None:
    path = write_video(tmp_path / f"a.{ending}", 64, size=SMALL, rate=rate)
    for choice in (FrameChoice(64), FrameChoice(64, float(rate)), FrameChoice(200)):
        assert numbers_of(read_frames(path, choice).pixels) == [*range(64)]
    assert numbers_of(read_frames(path, FrameChoice(64, rate / 2)).pixels) == [*range(0, 64, 2)]


@pytest.mark.parametrize("fps", [7, 8, 15.3, 16, 30, 50])
@pytest.mark.parametrize("ending", ["webm", "gif", "mp4"])
def test_all_frames_of_our_own_clips_come_again(ending: str, fps: float, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    write_clip(Clip(np.stack([numbered(at, *SMALL) for at in range(24)]), fps), path)
    frames = read_frames(path, FrameChoice(24))
    assert numbers_of(frames.pixels) == [*range(24)]
    assert frames.duration == pytest.approx(24 / fps, abs=0.02)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_seconds_count_from_the_sound_where_that_is_first(ending: str, tmp_path: Path) -> None:
    late = write_video(tmp_path / f"late.{ending}", 50, size=SMALL, begin=50, sound_s=6)
    part = read_frames(late, FrameChoice(2), 3.0, 3.5)
    shown = [pytest.approx(at, abs=0.05) for at in (3.0, 3.48)]  # sound is coded in steps of 23 ms
    assert part.times == shown
    assert [2 + number / 25 for number in numbers_of(part.pixels)] == shown
    whole = read_frames(late, FrameChoice(99))
    assert (len(whole.times), whole.told_duration) == (50, None)
    assert whole.times[0] == pytest.approx(2.0, abs=0.03)
    assert whole.duration == pytest.approx(4.0, abs=0.03)
    with pytest.raises(RowError, match=r"from 0\.5 to 1\.0 s .* show from 2\.0\d* to 4\.0"):
        read_frames(late, FrameChoice(2), 0.5, 1.0)


def test_the_last_picture_of_a_slideshow_shows_until_its_end(tmp_path: Path) -> None:
    slides = write_video(tmp_path / "slides.mp4", 3, size=SMALL, rate=Fraction(1, 5))
    frames = read_frames(slides, FrameChoice(4))
    assert (frames.times, frames.duration, frames.told_duration) == ([0, 5, 10], 15, None)
    assert numbers_of(read_frames(slides, FrameChoice(4), 11, 14).pixels) == [2]
    assert numbers_of(read_frames(slides, FrameChoice(4), 6, 20).pixels) == [1, 2]
    for part in ((15, None), (20, 30)):
        with pytest.raises(RowError, match=r"show from 0\.0 to 15\.0 s"):
            read_frames(slides, FrameChoice(4), *part)


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("ending", ["mkv", "mov"])
def test_other_containers_are_turned_as_they_say(ending: str, degrees: int, tmp_path: Path) -> None:
    def draw(number: int) -> np.ndarray:
        del number
        pixels = np.zeros((64, 128, 3), np.uint8)
        pixels[:16, :16] = 255  # the upper left
        return pixels

    path = write_video(tmp_path / f"a.{ending}", 3, rotation=degrees, draw=draw)
    pixels = read_frames(path, FrameChoice(1)).pixels[0]
    white = [(y, x) for y in (0, -1) for x in (0, -1) if pixels[y, x].min() > 200]
    assert white == [{90: (-1, 0), 180: (-1, -1), 270: (0, -1)}[degrees]]


def test_a_stream_that_appears_on_the_way_costs_nothing(tmp_path: Path) -> None:
    """As on television, where the sound of another language begins."""
    silent = write_video(tmp_path / "silent.ts", 30, size=SMALL)
    pids = {"mpegts_pmt_start_pid": "0x1100", "mpegts_start_pid": "0x200"}
    loud = write_video(tmp_path / "loud.ts", 30, size=SMALL, begin=30, sound_s=1, **pids)
    both = tmp_path / "both.ts"
    both.write_bytes(silent.read_bytes() + loud.read_bytes())
    assert numbers_of(read_frames(both, FrameChoice(99)).pixels) == [*range(30)]


@pytest.mark.parametrize("ending", PACKETS)
def test_hours_are_not_decoded_for_a_few_frames(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = "mpeg4" if ending == "avi" else "libx264"
    short = write_video(tmp_path / f"short.{ending}", 100, size=SMALL, codec=codec, b_frames=0)
    hours = repeat_video(short, tmp_path / f"hours.{ending}", 1800, 4)
    looked_at = 0
    packets: Any = vars(VideoFile)["packets"]

    def counted(file: VideoFile) -> Iterator[Any]:
        nonlocal looked_at
        for packet in packets(file):
            looked_at += 1
            yield packet

    monkeypatch.setattr(VideoFile, "packets", counted)
    frames = read_frames(hours, FrameChoice(16))
    assert frames.duration == pytest.approx(7200, abs=0.1)
    assert [round(at * 25) % 100 for at in frames.times] == numbers_of(frames.pixels)
    assert looked_at < PACKETS[ending]
