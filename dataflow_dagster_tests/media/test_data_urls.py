from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from dataflow_dagster.media.data_urls import MOST_BYTES, data_url
from dataflow_dagster.rows import RowError


def read(url: str) -> tuple[str, bytes]:
    mime, _, encoded = url.removeprefix("data:").partition(";base64,")
    return mime, b64decode(encoded, validate=True)


def opened(url: str) -> Image.Image:
    mime, content = read(url)
    assert mime == "image/jpeg"
    return Image.open(BytesIO(content), formats=["JPEG"])


@pytest.mark.parametrize(("name", "mime"), [("a.png", "image/png"), ("a.jpg", "image/jpeg")])
def test_a_small_jpeg_or_png_goes_as_it_is_on_disk(tmp_path: Path, name: str, mime: str) -> None:
    path = tmp_path / name
    Image.new("RGB", (9, 5), (1, 2, 3)).save(path)
    assert read(data_url(path, max_side=64)) == (mime, path.read_bytes())


@pytest.mark.parametrize("name", ["a.webp", "a.bmp", "a.gif"])
def test_other_formats_are_sent_as_jpeg(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (9, 5), (255, 0, 0)).save(tmp_path / name)
    assert opened(data_url(tmp_path / name, max_side=64)).size == (9, 5)


def test_a_large_picture_is_scaled_down(tmp_path: Path) -> None:
    Image.new("RGB", (300, 100)).save(tmp_path / "a.png")
    assert opened(data_url(tmp_path / "a.png", max_side=60)).size == (60, 20)


def test_a_large_file_is_encoded_anew(tmp_path: Path) -> None:
    noise = Image.effect_noise((1500, 1500), 99).convert("RGB")
    noise.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > MOST_BYTES
    url = data_url(tmp_path / "a.png", max_side=2048)
    assert opened(url).size == (1500, 1500)
    assert len(url) < MOST_BYTES


def test_a_picture_lying_on_its_side_is_sent_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (9, 5)).save(tmp_path / "a.jpg", exif=exif)
    assert opened(data_url(tmp_path / "a.jpg", max_side=64)).size == (5, 9)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert opened(data_url(tmp_path / "a.png", max_side=64)).getpixel((4, 4)) == (255, 255, 255)


def test_a_broken_picture_costs_one_row(tmp_path: Path) -> None:
    Image.effect_noise((99, 99), 99).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    with pytest.raises(RowError) as broken:
        data_url(tmp_path / "a.png", max_side=64)
    assert broken.value.kind == "corrupt_picture"


def test_a_jpeg_cut_short_is_not_sent_as_it_is(tmp_path: Path) -> None:
    Image.effect_noise((99, 99), 99).save(tmp_path / "a.jpg", quality=95)
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-200])
    with pytest.raises(RowError) as broken:
        data_url(tmp_path / "a.jpg", max_side=128)
    assert broken.value.kind == "corrupt_picture"
