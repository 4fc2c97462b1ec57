"""Every kind of odd and broken clip through a whole pipeline, in real decoding processes."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.media.video_file import VideoFile
from dataflow_dagster_tests.media.clips_made import repeat_video, write_sound, write_video
from dataflow_dagster_tests.steps.driving import Ground
from dataflow_dagster_tests.toys.pipelines import WATCH

pytestmark = pytest.mark.usefixtures("toys")
ODD = ("one", "unlike", "turned", "odd", "deep", "long", "short")


def odd_clips(folder: Path) -> None:
    """Clips that are whole, if strange: all but `one` have 30 frames."""
    write_video(folder / "one.mp4", 1)
    write_video(folder / "unlike.mp4", 30, time_ms=lambda number: number * (20 + number))
    write_video(folder / "turned.mp4", 30, rotation=90)
    write_video(folder / "odd.mp4", 30, size=(127, 63), pixel_format="yuv444p")
    write_video(folder / "deep.mp4", 30, pixel_format="yuv420p10le")
    whole = write_video(folder / "plain.mp4", 30).read_bytes()
    for name, seconds in (("long", 3600), ("short", 1)):
        content = bytearray(whole)
        for box in (b"mvhd", b"mdhd"):
            at = content.index(box) + 16
            scale = int.from_bytes(content[at : at + 4], "big")
            content[at + 4 : at + 8] = (seconds * scale).to_bytes(4, "big")
        (folder / f"{name}.mp4").write_bytes(content)


def test_each_bad_clip_costs_its_row_and_odd_ones_are_read(ground: Ground) -> None:
    odd_clips(ground.source)
    write_sound(ground.source / "sound.mp4")
    (ground.source / "junk.mp4").write_bytes(b"junk" * 999)
    whole = (ground.source / "plain.mp4").read_bytes()
    for tenth in range(10):
        (ground.source / f"cut{tenth}.mp4").write_bytes(whole[: len(whole) * tenth // 10])
    cut = [f"cut{tenth}" for tenth in range(10)]
    names = [*ODD, *cut, "sound", "junk", "missing", "plain"]
    ground.rows(*({"id": name, "video": f"{name}.mp4"} for name in names), {"id": "text"})
    outcome = ground.run(dict(WATCH))
    kinds = dict(zip([*names, "text"], outcome.kinds("video_captions"), strict=True))
    assert {name: kind for name, kind in kinds.items() if kind is not None} == {
        "cut0": "empty_file",
        **dict.fromkeys(cut[1:], "corrupt_video"),
        "sound": "no_video",
        "junk": "corrupt_video",
        "missing": "missing_file",
    }
    told = {row["id"]: row.get("text") for row in outcome.rows() if "text" in row}
    assert told == {"one": "1 frames"} | dict.fromkeys((*ODD[1:], "plain"), "30 frames")
    assert outcome.tally("video_captions").skipped == 1
    assert len(outcome.errors()) == 13


@pytest.fixture(scope="module")
def hours(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Four seconds of moving pictures, and three hours of them."""
    folder = tmp_path_factory.mktemp("hours")

    def noise(number: int) -> np.ndarray:
        small = np.random.default_rng(number).integers(0, 255, (9, 16, 3), np.uint8)
        return small.repeat(20, 0).repeat(20, 1)

    short = write_video(folder / "short.mp4", 100, size=(320, 180), draw=noise)
    return short, repeat_video(short, folder / "hours.mp4", 2700, 4)


def peak_mib(path: Path) -> float:
    """Of a fresh process that reads 64 frames."""
    code = (
        "import sys; from pathlib import Path\n"
        "from dataflow_dagster.media.frames import FrameChoice, read_frames\n"
        "read_frames(Path(sys.argv[1]), FrameChoice(64))\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(int(status.partition('VmHWM:')[2].split()[0]))"
    )
    command = [sys.executable, "-c", code, str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux alone")
def test_three_hours_take_hardly_more_memory_than_four_seconds(hours: tuple[Path, Path]) -> None:
    short, long = hours
    assert long.stat().st_size > 100 * short.stat().st_size
    assert peak_mib(long) < peak_mib(short) + 48  # the index of 270,000 frames alone is some 10


def test_three_hours_are_not_decoded_for_64_frames(
    hours: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    packets: Any = vars(VideoFile)["packets"]

    def counted(file: VideoFile) -> Iterator[Any]:
        nonlocal looked_at
        for packet in packets(file):
            looked_at += 1
            yield packet

    monkeypatch.setattr(VideoFile, "packets", counted)
    frames = read_frames(hours[1], FrameChoice(64))
    assert (len(frames.times), round(frames.duration)) == (64, 3 * 3600)
    assert looked_at < 64 * 40  # a key frame stands every 30
