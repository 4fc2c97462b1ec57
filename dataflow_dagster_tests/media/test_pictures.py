import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataflow_dagster.formats.pictures import PICTURE_ENDINGS
from dataflow_dagster.media.pictures import (
    MOST_PIXELS,
    READABLE,
    picture_extension,
    read_picture,
    write_picture,
)
from dataflow_dagster.rows import RowError

ENCODERS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")


def _photo(width: int = 96, height: int = 64) -> Image.Image:
    """Noise: no encoder can shorten it, so every cut takes pixels away."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def _saved(path: Path, picture: Image.Image, encoder: str = "PNG", **options: Any) -> Path:
    picture.save(path, format=encoder, **options)
    return path


def _failure(path: Path) -> RowError:
    with pytest.raises(RowError) as failed:
        read_picture(path)
    assert str(path) in failed.value.message
    return failed.value


def _blank_png(path: Path, width: int, height: int) -> Path:
    """1-bit grey, all black: 20000 x 20000 of it are 50 kB."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compressobj()
    line = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packed.compress(line) for _ in range(height)) + packed.flush()
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_format_is_read_as_rgb_whatever_its_name(tmp_path: Path, encoder: str) -> None:
    path = _saved(tmp_path / "picture.txt", _photo(), encoder)
    picture = read_picture(path)
    assert (picture.mode, picture.size) == ("RGB", (96, 64))


@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_truncated_picture_costs_one_row(tmp_path: Path, encoder: str, tenths: int) -> None:
    path = _saved(tmp_path / "picture", _photo(), encoder)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * tenths // 10])
    assert _failure(path).kind == "corrupt_picture"


@pytest.mark.parametrize(
    "content",
    [
        b"no picture\n",
        b"\0" * 1000,
        b"\xff\xd8\xff\xe0" + b"x" * 1000,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    ],
)
def test_what_is_no_picture_costs_one_row(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    assert _failure(path).kind == "corrupt_picture"


@pytest.mark.filterwarnings("ignore:Tag data larger:UserWarning")
@pytest.mark.filterwarnings("ignore:Truncated File Read:UserWarning")
@pytest.mark.parametrize("encoder", ENCODERS)
def test_flipped_bytes_cost_one_row_at_most(tmp_path: Path, encoder: str) -> None:
    path = _saved(tmp_path / "picture", _photo(32, 32), encoder)
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    kinds: set[str] = set()
    for _ in range(100):
        content = bytearray(whole)
        for at in random.integers(0, len(whole), 4):
            content[at] = random.integers(0, 256)
        path.write_bytes(content)
        try:
            assert read_picture(path).mode == "RGB"
        except RowError as failed:
            kinds.add(failed.kind)
    assert kinds <= {"corrupt_picture", "picture_too_large"}


def test_every_ending_of_a_picture_in_a_folder_has_a_decoder() -> None:
    Image.init()
    assert {Image.EXTENSION[ending] for ending in PICTURE_ENDINGS} <= set(READABLE)


def test_every_decoder_is_one_that_pillow_opens_files_with() -> None:
    Image.init()
    assert set(READABLE) <= set(Image.OPEN)


def test_of_a_picture_made_of_several_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    path = _saved(tmp_path / "both.jpg", frames[0], "MPO", save_all=True, append_images=frames[1:])
    red, _, blue = read_picture(path).getpixel((8, 8))  # type: ignore[misc]
    assert red > 200
    assert blue < 60


def test_what_an_encoder_would_write_along_is_left_behind(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = _saved(tmp_path / "turned.jpg", _photo(), "JPEG", exif=exif, icc_profile=b"profile")
    write_picture(read_picture(path), tmp_path / "copy.jpg")
    assert read_picture(tmp_path / "copy.jpg").size == (64, 96)
    with Image.open(tmp_path / "copy.jpg") as copy:
        assert not copy.getexif()
        assert "icc_profile" not in copy.info


def test_a_missing_file_costs_one_row(tmp_path: Path) -> None:
    assert _failure(tmp_path / "missing.jpg").kind == "missing_file"
    (tmp_path / "file").touch()
    assert _failure(tmp_path / "file" / "below.jpg").kind == "missing_file"


def test_a_folder_or_a_pipe_costs_one_row(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert _failure(tmp_path).kind == "not_a_file"
    assert _failure(tmp_path / "pipe.jpg").kind == "not_a_file"


def test_a_file_of_zero_bytes_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert _failure(tmp_path / "empty.jpg").kind == "empty_file"


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "nul\0.jpg", "\ud800.jpg"])
def test_an_impossible_name_costs_one_row(tmp_path: Path, name: str) -> None:
    assert _failure(tmp_path / name).kind == "unreadable_file"


def test_a_link_to_itself_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    assert _failure(tmp_path / "loop.jpg").kind == "unreadable_file"


@pytest.mark.parametrize("side", [13_378, 20_000])
def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path, side: int) -> None:
    failed = _failure(_blank_png(tmp_path / "bomb.png", side, side))
    assert failed.kind == "picture_too_large"
    assert f"{side}x{side} is {side * side} pixels; allowed: {MOST_PIXELS}" in failed.message


def test_the_bound_on_pixels_can_be_moved(tmp_path: Path) -> None:
    path = _saved(tmp_path / "picture.png", _photo())
    assert read_picture(path, max_pixels=96 * 64).size == (96, 64)
    with pytest.raises(RowError, match="picture_too_large"):
        read_picture(path, max_pixels=96 * 64 - 1)


def test_pillows_own_limit_is_left_as_it_was(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_picture(_saved(tmp_path / "picture.png", _photo()))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("encoder", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, encoder: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue", "green")]
    path = _saved(tmp_path / "moving", frames[0], encoder, save_all=True, append_images=frames[1:])
    red, green, blue = read_picture(path).getpixel((4, 4))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    picture = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    path = _saved(tmp_path / "cmyk.jpg", picture, "JPEG")
    red, green, blue = read_picture(path).getpixel((4, 4))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 20


@pytest.mark.parametrize("encoder", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, encoder: str) -> None:
    values = np.array([[0, 128, 129, 257, 32_768, 65_535]], np.uint16)
    path = _saved(tmp_path / "deep", Image.fromarray(values), encoder)
    read = np.asarray(read_picture(path))
    assert read.shape == (1, 6, 3)
    assert read[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (read == read[:, :, :1]).all()


@pytest.mark.parametrize(("values", "expected"), [([0.0, 0.5, 1.0], [0, 128, 255])])
def test_floats_are_scaled(tmp_path: Path, values: list[float], expected: list[int]) -> None:
    picture = Image.fromarray(np.array([values], np.float32))
    path = _saved(tmp_path / "float.tiff", picture, "TIFF")
    assert np.asarray(read_picture(path))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (3, 1))
    picture.putdata([(0, 0, 0, 0), (0, 0, 0, 255), (100, 100, 100, 255)])
    if mode == "P":
        flat = Image.new("P", (3, 1))
        flat.putpalette([9, 9, 9, 0, 0, 0, 100, 100, 100])
        flat.putdata([0, 1, 2])
        path = _saved(tmp_path / "clear.png", flat, transparency=bytes([0, 255, 255]))
    else:
        path = _saved(tmp_path / "clear.png", picture.convert(mode))
    assert np.asarray(read_picture(path))[0, :, 0].tolist() == [255, 0, 100]


def test_half_transparent_lies_on_white(tmp_path: Path) -> None:
    path = _saved(tmp_path / "half.png", Image.new("RGBA", (1, 1), (0, 0, 0, 128)))
    assert read_picture(path).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    encoder = "JPEG" if mode == "YCbCr" else "PNG"
    path = _saved(tmp_path / "picture", Image.new("RGB", (8, 8), "white").convert(mode), encoder)
    picture = read_picture(path)
    assert picture.mode == "RGB"
    assert picture.getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (32, 16), "blue")
    upright.paste("red", (0, 0, 16, 8))
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    turn = turns.get(orientation)
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = _saved(tmp_path / "turned.png", stored, exif=exif)
    assert np.array_equal(np.asarray(read_picture(path)), np.asarray(upright))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_broken_exif_costs_nothing(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 20
    path = _saved(tmp_path / "picture.jpg", _photo(), "JPEG", exif=exif)
    assert read_picture(path).size == (96, 64)


def test_many_threads_read_the_same_pixels(tmp_path: Path) -> None:
    paths = [_saved(tmp_path / f"{n}", _photo(32 + n, 32), "PNG") for n in range(16)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(read_picture, paths * 8))
    expected = [np.asarray(_photo(32 + n, 32)) for n in range(16)] * 8
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(read, expected, strict=True))


@pytest.mark.parametrize("extension", [".jpg", ".JPEG", ".png", ".webp", ".bmp", ".tif", ".tiff"])
def test_the_extension_picks_the_encoder_and_bytes_are_equal(
    tmp_path: Path, extension: str
) -> None:
    one, other = tmp_path / f"a/b{extension}", tmp_path / f"c{extension}"
    flat = Image.new("RGB", (64, 48), (200, 40, 40))
    write_picture(flat, one)
    write_picture(flat, other)

    assert picture_extension(extension) == extension
    assert one.read_bytes() == other.read_bytes()
    assert np.abs(np.asarray(read_picture(one)).astype(int) - np.asarray(flat)).max() < 10
    assert [entry.name for entry in one.parent.iterdir()] == [one.name]


def test_jpeg_is_written_at_quality_95(tmp_path: Path) -> None:
    write_picture(_photo(), tmp_path / "picture.jpg")
    expected = io.BytesIO()
    _photo().save(expected, format="JPEG", quality=95)
    assert (tmp_path / "picture.jpg").read_bytes() == expected.getvalue()


@pytest.mark.parametrize("extension", ["", ".gif", ".txt", ".mp4"])
def test_an_extension_without_encoder_becomes_png(tmp_path: Path, extension: str) -> None:
    assert picture_extension(extension) == ".png"
    with pytest.raises(ValueError, match="pictures are written as"):
        write_picture(_photo(), tmp_path / f"picture{extension}")


def test_a_picture_is_whole_or_absent(tmp_path: Path) -> None:
    write_picture(_photo(8, 8), tmp_path / "picture.jpg")
    before = (tmp_path / "picture.jpg").read_bytes()
    with pytest.raises(OSError, match="cannot write mode"):
        write_picture(Image.new("RGBA", (8, 8)), tmp_path / "picture.jpg")
    assert (tmp_path / "picture.jpg").read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.jpg"]
