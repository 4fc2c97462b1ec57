import shutil
from pathlib import Path

import numpy as np
import pytest

from dataflow_dagster.media.frames import FrameChoice, Frames, read_frames
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.clips_made import (
    numbered,
    numbers_of,
    repeat_video,
    write_sound,
    write_video,
)

EIGHT = FrameChoice(8)
CODECS = {"mp4": "libx264", "mov": "libx264", "mkv": "libx264", "ts": "libx264"}
CODECS |= {"webm": "libvpx-vp9", "avi": "mpeg4", "h264.avi": "libx264", "flv": "flv1"}
TICKS = {"mkv": 1000, "webm": 1000, "flv": 1000, "avi": 0, "h264.avi": 0}
"""A second's, where they are few; 0: a frame is a tick."""


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred frames, 25 a second."""
    return write_video(tmp_path_factory.mktemp("clips") / "hundred.mp4")


def kind_of(path: Path, start: float | None = None, end: float | None = None) -> str:
    with pytest.raises(RowError) as refused:
        read_frames(path, EIGHT, start, end)
    assert str(path) in refused.value.message
    return refused.value.kind


@pytest.mark.parametrize("ending", CODECS)
@pytest.mark.parametrize("count", [1, 2, 8, 99, 200])
def test_frames_are_those_that_linspace_tells(ending: str, count: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"a.{ending}", codec=CODECS[ending])
    wanted = np.linspace(0, 99, count) if count > 1 else np.array([49.5])
    ticks = TICKS.get(ending, 12800)
    tick = 25 / ticks if ticks else 0  # in frames; what begins within one has begun
    expected = np.floor(wanted + tick * 0.999).astype(int).tolist()
    frames = read_frames(path, FrameChoice(count))
    assert numbers_of(frames.pixels) == list(dict.fromkeys(expected))
    assert frames.times == [pytest.approx(at / 25, abs=1e-3) for at in numbers_of(frames.pixels)]
    assert frames.duration == pytest.approx(4.0)


def test_frames_a_second_are_bounded_by_their_number(hundred: Path) -> None:
    assert numbers_of(read_frames(hundred, FrameChoice(64, fps=5)).pixels) == [*range(0, 100, 5)]
    assert len(read_frames(hundred, FrameChoice(4, fps=5)).times) == 4


def test_a_part_of_a_clip_is_looked_at(hundred: Path) -> None:
    part = read_frames(hundred, FrameChoice(3), 1.0, 2.0)
    assert numbers_of(part.pixels) == [25, 37, 50]
    assert part.times == [1.0, 1.48, 2.0]
    assert numbers_of(read_frames(hundred, FrameChoice(2), 3.0).pixels) == [75, 99]
    assert numbers_of(read_frames(hundred, FrameChoice(2), None, 0.0).pixels) == [0]


@pytest.mark.parametrize("part", [(4.5, None), (2.0, 1.0)])
def test_a_part_that_is_none_of_the_clip_costs_one_row(
    part: tuple[float, float | None], hundred: Path
) -> None:
    assert kind_of(hundred, *part) == "bad_value"


def test_a_clip_of_one_frame_has_one(tmp_path: Path) -> None:
    frames = read_frames(write_video(tmp_path / "one.mp4", 1), EIGHT)
    assert (numbers_of(frames.pixels), frames.times, frames.duration) == ([0], [0.0], 0.04)


def test_frames_of_unlike_length_are_chosen_by_time(tmp_path: Path) -> None:
    slower = write_video(tmp_path / "vfr.mp4", 60, time_ms=lambda number: number * number * 2)
    frames = read_frames(slower, FrameChoice(5))
    latest = 59 * 59 * 2
    expected = [int((latest * at // 4 / 2) ** 0.5) for at in range(5)]
    assert numbers_of(frames.pixels) == expected


@pytest.mark.parametrize(
    ("degrees", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (270, (0, -1)), (-90, (0, -1))]
)
def test_a_clip_is_turned_as_it_says(degrees: int, corner: tuple[int, int], tmp_path: Path) -> None:
    def draw(number: int) -> np.ndarray:
        del number
        pixels = np.zeros((64, 128, 3), np.uint8)
        pixels[:16, :16] = 255  # the upper left
        return pixels

    path = write_video(tmp_path / "turned.mp4", 3, rotation=degrees, draw=draw)
    pixels = read_frames(path, FrameChoice(1)).pixels[0]
    assert pixels.shape == ((64, 128, 3) if degrees == 180 else (128, 64, 3))
    assert pixels[corner].min() > 200
    assert sum(int(pixels[y, x].min() > 200) for y in (0, -1) for x in (0, -1)) == 1


def test_odd_sides_and_ten_bits_are_read(tmp_path: Path) -> None:
    odd = write_video(tmp_path / "odd.mp4", size=(127, 63), pixel_format="yuv444p")
    deep = write_video(tmp_path / "deep.mp4", pixel_format="yuv420p10le")
    assert read_frames(odd, EIGHT).pixels.shape == (8, 63, 127, 3)
    assert numbers_of(read_frames(deep, EIGHT).pixels) == [0, 14, 28, 42, 56, 70, 84, 99]


@pytest.mark.parametrize("seconds", [1, 3600])
def test_a_wrong_duration_in_the_header_changes_nothing(
    seconds: int, hundred: Path, tmp_path: Path
) -> None:
    content = bytearray(hundred.read_bytes())
    for box in (b"mvhd", b"mdhd"):
        at = content.index(box) + 16
        scale = int.from_bytes(content[at : at + 4], "big")
        content[at + 4 : at + 8] = (seconds * scale).to_bytes(4, "big")
    (tmp_path / "wrong.mp4").write_bytes(content)
    frames = read_frames(tmp_path / "wrong.mp4", EIGHT)
    assert numbers_of(frames.pixels) == numbers_of(read_frames(hundred, EIGHT).pixels)


CUT = ["mp4", "faststart.mp4", "mkv", "webm", "ts", "avi", "h264.avi"]
CUT += ["flv", "h264.flv", "gif", "mpg"]


@pytest.mark.parametrize("ending", CUT)
def test_a_file_cut_anywhere_gives_what_is_left_of_it_or_costs_one_row(
    ending: str, tmp_path: Path
) -> None:
    flags = {"movflags": "+faststart"} if ending == "faststart.mp4" else {}
    codec = {"gif": "gif", "mpg": "mpeg2video", **CODECS}.get(ending, CODECS["mp4"])
    colours = "rgb8" if ending == "gif" else "yuv420p"
    path = tmp_path / f"whole.{ending}"
    whole = write_video(path, codec=codec, pixel_format=colours, **flags).read_bytes()
    lengths: list[int] = []
    kinds: set[str] = set()
    for tenth in range(10):
        path = tmp_path / f"cut.{ending}"
        path.write_bytes(whole[: len(whole) * tenth // 10])
        try:
            frames = read_frames(path, FrameChoice(200))
        except RowError as error:
            kinds.add(error.kind)
            lengths.append(0)
            continue
        numbers = numbers_of(frames.pixels)
        assert numbers == sorted(set(numbers))  # frames that lean on what was cut off are missing
        # Of a cut-off mpg's last packet, which tells its end, a second of frames may be lost.
        near = {"h264.flv": 0.03, "mpg": 2}.get(ending, 2e-3)
        assert frames.times[-1] == pytest.approx(frames.duration - 0.04, abs=near)
        lengths.append(len(numbers))
    assert lengths == sorted(lengths)
    assert kinds <= {"empty_file", "corrupt_video"}


def test_a_clip_shorter_than_its_header_says_tells_so(hundred: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    details = read_frames(tmp_path / "cut.mkv", EIGHT).details()
    assert details["told_duration_s"] == 4.0
    assert 0 < details["duration_s"] < 3
    assert "told_duration_s" not in read_frames(hundred, EIGHT).details()


def test_hours_are_read_around_the_frames_alone(hundred: Path, tmp_path: Path) -> None:
    hours = repeat_video(hundred, tmp_path / "hours.mp4", 2700, 4)
    frames = read_frames(hours, FrameChoice(64))
    assert frames.duration == pytest.approx(3 * 3600, abs=0.1)
    assert [round(at * 25) % 100 for at in frames.times] == numbers_of(frames.pixels)
    assert len(frames.times) == 64


def test_a_clip_with_one_key_frame_is_read_in_one_go(tmp_path: Path) -> None:
    path = write_video(tmp_path / "one key.mp4", 2000, key_every=100_000)
    numbers = numbers_of(read_frames(path, FrameChoice(11)).pixels)
    assert numbers == np.linspace(0, 1999, 11, dtype=int).tolist()


def test_what_is_no_video_costs_one_row(tmp_path: Path) -> None:
    for name, content in (("none.mp4", b""), ("junk.mp4", b"hello" * 1000)):
        (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / "none.mp4") == "empty_file"
    assert kind_of(tmp_path / "junk.mp4") == "corrupt_video"
    assert kind_of(tmp_path / "missing.mp4") == "missing_file"
    assert kind_of(tmp_path) == "not_a_file"
    assert kind_of(write_sound(tmp_path / "sound.mp4")) == "no_video"


def test_a_playlist_opens_no_other_file(hundred: Path, tmp_path: Path) -> None:
    shutil.copy(hundred, tmp_path / "a.mp4")
    lists = {
        "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\na.mp4\n#EXT-X-ENDLIST\n",
        "a.ffconcat": "ffconcat version 1.0\nfile a.mp4\n",
    }
    for name, content in lists.items():
        (tmp_path / name).write_text(content)
        assert kind_of(tmp_path / name) == "corrupt_video"


def test_a_name_with_a_colon_is_a_name(
    hundred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(hundred, "concat:a.mp4")
    assert len(read_frames(Path("concat:a.mp4"), EIGHT).times) == 8


def test_frames_are_scaled_down_in_proportion(hundred: Path) -> None:
    frames = read_frames(hundred, FrameChoice(8, max_pixels=2000))
    assert frames.pixels.shape == (8, 31, 63, 3)
    assert numbers_of(frames.pixels) == [0, 14, 28, 42, 56, 70, 84, 99]


def test_the_row_is_told_which_frames_were_used() -> None:
    pixels = np.stack([numbered(0), numbered(1)])
    told = Frames(pixels, [0.0, 0.5], 0.5).details()
    assert told == {
        "frames": 2,
        "frame_times": [0.0, 0.5],
        "frame_width": 128,
        "frame_height": 64,
        "duration_s": 0.5,
    }
