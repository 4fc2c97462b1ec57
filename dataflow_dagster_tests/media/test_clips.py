from pathlib import Path

import av
import numpy as np
import pytest

from dataflow_dagster.media.clips import Clip, clip_extension, write_clip
from dataflow_dagster.media.frames import FrameChoice, read_frames
from dataflow_dagster.media.posters import poster, strip
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.clips_made import number_of, numbered, numbers_of

ENDINGS = {".mp4": ("h264", 0.01), ".webm": ("vp9", 0.01), ".gif": ("gif", 1)}


def clip(count: int = 12, size: tuple[int, int] = (128, 64), fps: float = 8) -> Clip:
    return Clip(np.stack([numbered(number, *size) for number in range(count)]), fps)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("size", [(128, 64), (127, 63)])
@pytest.mark.parametrize("fps", [8, 23.976])
def test_a_clip_is_read_back_as_it_was_written(
    ending: str, size: tuple[int, int], fps: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a{ending}"
    write_clip(clip(size=size, fps=fps), path)
    codec, near = ENDINGS[ending]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == codec
        assert float(stream.average_rate or 0) == pytest.approx(fps, abs=near * 1.05)
        if ending != ".gif":
            assert stream.codec_context.pix_fmt == "yuv420p"
    width, height = (side + side % 2 if ending == ".mp4" else side for side in size)
    assert frames[0].shape == (height, width, 3)
    assert [number_of(pixels) for pixels in frames] == [*range(12)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_equal_clips_are_equal_bytes_and_their_colours_are_kept(
    ending: str, tmp_path: Path
) -> None:
    pixels = np.zeros((4, 64, 96, 3), np.uint8)
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    for at, colour in enumerate(colours):
        pixels[:, :, 32 * at : 32 * at + 32] = colour
    one, other = tmp_path / f"one{ending}", tmp_path / f"other{ending}"
    for path in (one, other):
        write_clip(Clip(pixels, 8), path)
    assert one.read_bytes() == other.read_bytes()
    middle = np.asarray(poster(one))
    for at, colour in enumerate(colours):
        assert abs(middle[32, 32 * at + 16].astype(int) - colour).max() <= 3


def test_an_ending_without_an_encoder_becomes_mp4(tmp_path: Path) -> None:
    endings = [".MP4", ".webm", ".gif", ".avi", ".jpg", ""]
    assert [clip_extension(ending) for ending in endings] == [
        ".MP4",
        ".webm",
        ".gif",
        ".mp4",
        ".mp4",
        ".mp4",
    ]
    with pytest.raises(ValueError, match=r"\.mp4, \.webm, \.gif"):
        write_clip(clip(), tmp_path / "a.avi")


def test_a_clip_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    wrong = Clip(np.zeros((2, 64, 64, 3)), 8)  # no 8-bit values
    with pytest.raises(ValueError, match="float64"):
        write_clip(wrong, tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0.01, 100])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_slowest_and_fastest_of_all_formats_are_written(
    ending: str, fps: float, tmp_path: Path
) -> None:
    path = tmp_path / f"a{ending}"
    write_clip(clip(4, size=(64, 32), fps=fps), path)
    frames = read_frames(path, FrameChoice(4))
    assert numbers_of(frames.pixels) == [0, 1, 2, 3]
    assert frames.duration == pytest.approx(4 / fps, rel=0.01)


def test_a_clip_that_a_format_does_not_hold_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="fps is 120; a gif has 100 frames a second at most") as fast:
        write_clip(clip(fps=120), tmp_path / "a.gif")
    large = Clip(np.zeros((1, 2, 16386, 3), np.uint8), 8)
    with pytest.raises(RowError, match=r"libx264 does not take 16386x2 pixels at fps 8") as wide:
        write_clip(large, tmp_path / "a.mp4")
    assert {fast.value.kind, wide.value.kind} == {"clip_not_encoded"}
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_no_fault_of_the_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # of the device
    (tmp_path / "a.webm.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_clip(clip(), tmp_path / "a.webm")


def test_a_poster_is_the_middle_and_a_strip_some_side_by_side(tmp_path: Path) -> None:
    write_clip(clip(9), tmp_path / "a.mp4")
    assert number_of(np.asarray(poster(tmp_path / "a.mp4"))) == 4
    beside = np.asarray(strip(tmp_path / "a.mp4", frames=3))
    assert [number_of(beside[:, at : at + 128]) for at in (0, 128, 256)] == [0, 4, 8]
    assert strip(tmp_path / "a.mp4", max_pixels=2000).size == (63 * 4, 31)


def test_without_pyav_a_clip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow_dagster.media.posters.find_spec", lambda _: None)
    for picture in (poster, strip):
        with pytest.raises(RowError, match="pip install av") as none:
            picture(tmp_path / "a.mp4")
        assert none.value.kind == "no_pyav"
