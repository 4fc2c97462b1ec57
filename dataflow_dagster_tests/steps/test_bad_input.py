"""Every bad input that a row or a file may bring, and what it costs."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.steps.raw_meta import input_index
from dataflow_dagster_tests.steps.driving import Ground, draw, step


def bomb(path: Path) -> None:
    """A PNG that says it is 20000x20000."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 60001)))


def truncated(path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "JPEG")
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])


BAD_FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda path: None, "missing_file"),
    "folder": (Path.mkdir, "not_a_file"),
    "fifo": (os.mkfifo, "not_a_file"),
    "empty": (Path.touch, "empty_file"),
    "truncated": (truncated, "corrupt_picture"),
    "text": (lambda path: path.write_text("no picture"), "corrupt_picture"),
    "bomb": (bomb, "picture_too_large"),
    "below a file": (lambda path: None, "missing_file"),
    "link to itself": (lambda path: path.symlink_to(path), "unreadable_file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_picture_file_costs_one_row(ground: Ground, name: str) -> None:
    make, kind = BAD_FILES[name]
    make(ground.source / "bad.jpg")
    draw(ground.source / "good.png")
    bad = "good.png/bad.jpg" if name == "below a file" else "bad.jpg"
    ground.rows({"image": "good.png"}, {"image": bad}, {"image": "good.png"})
    outcome = ground.run(step("Look"), step("Paint"))
    assert outcome.kinds("captions") == [None, kind, None]
    assert [row["text"] for row in (outcome.rows()[0], outcome.rows()[2])] == [
        "4x4 (255, 0, 0)"
    ] * 2
    (error,) = outcome.errors()
    assert (error["step"], error["kind"]) == ("captions", kind)
    assert "bad.jpg" in error["message"]
    assert error["row"]["image"] == bad
    assert outcome.rows()[1]["image"] == bad


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("../../etc/passwd", "outside_meta_folder"),
        ("/etc/passwd", "corrupt_picture"),
        (3, "bad_value"),
        (True, "bad_value"),
        (["good.png"], "bad_value"),
        ({"path": "good.png"}, "bad_value"),
        ("a\0b", "bad_value"),
        ("https://example.org/a.png", "host_not_allowed"),
        ("x" * 300, "bad_value"),
        ("x/" * 3000, "bad_value"),
        ("\ud800.png", "bad_value"),
        (None, None),
        ("", None),
    ],
)
def test_a_bad_value_for_a_picture_costs_one_row(
    ground: Ground, value: object, kind: str | None
) -> None:
    draw(ground.source / "good.png")
    ground.rows({"image": "good.png"}, {"image": value}, {"image": "good.png"})
    outcome = ground.run(step("Look"), step("Paint"))
    assert outcome.kinds("results") == [None, kind, None]
    assert outcome.tally("captions").skipped == (kind is None)
    assert outcome.rows()[1]["image"] == value
    assert outcome.rows()[2]["text"] == "4x4 (255, 0, 0)"
    written = {path for path in ground.folder.rglob("*") if path.suffix == ".png"}
    assert all(path.is_relative_to(ground.folder) for path in written)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(3, "bad_value"), (["x"], "bad_value"), ({"a": 1}, "bad_value"), (None, None)],
)
def test_a_bad_value_for_a_text_costs_one_row(
    ground: Ground, value: object, kind: str | None
) -> None:
    ground.rows({"text": "a"}, {"text": value}, {"text": "c"})
    outcome = ground.run(step("Upper"))
    assert outcome.kinds("results") == [None, kind, None]
    assert [row["text"] for row in outcome.rows()] == ["A", value, "C"]


def test_an_empty_text_is_a_text_that_flux_refuses(ground: Ground) -> None:
    from dataflow_dagster.models.declaration import Given
    from dataflow_dagster.models.flux import FLUXGenerator
    from dataflow_dagster.rows import RowError

    ground.rows({"text": ""}, {"text": "a"})
    assert [row["text"] for row in ground.run(step("Upper")).rows()] == ["", "A"]
    with pytest.raises(RowError) as refused:
        FLUXGenerator().request(Given(0, 0, text=""))
    assert refused.value.kind == "empty_text"


def test_a_megabyte_of_text_is_a_text(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "x" * 2**20}, {"id": 2, "text": "y"})
    outcome = ground.run(step("Upper"), step("Paint"))
    assert [len(row["text"]) for row in outcome.rows()] == [2**20, 1]
    assert outcome.errors() == []


def _animated(path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4), "red").save(path, "PNG", exif=exif)


ODD_PICTURES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "animated GIF": (_animated, "4x4 (255, 0, 0)"),
    "CMYK": (
        lambda p: Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(p, "TIFF"),
        "4x4 (255, 0, 0)",
    ),
    "16-bit": (lambda p: Image.new("I;16", (4, 4), 65535).save(p, "PNG"), "4x4 (255, 255, 255)"),
    "alpha": (
        lambda p: Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(p, "PNG"),
        "4x4 (255, 255, 255)",
    ),
    "EXIF-rotated": (_turned, "4x8 (255, 0, 0)"),
    "one pixel": (lambda p: Image.new("L", (1, 1), 7).save(p, "PNG"), "1x1 (7, 7, 7)"),
}


@pytest.mark.parametrize("name", ODD_PICTURES)
def test_an_odd_picture_is_read_as_upright_rgb(ground: Ground, name: str) -> None:
    make, seen = ODD_PICTURES[name]
    make(ground.source / "odd.jpg")
    ground.rows({"image": "odd.jpg"})
    outcome = ground.run(step("Look"), step("Paint"))
    assert outcome.rows()[0]["text"] == seen
    assert outcome.rows()[0]["image"] == "generated_images/odd_generated.jpg"


def test_one_image_name_twice_is_two_pictures(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png", "n": 1}, {"image": "a.png", "n": 2})
    names = {row["image"] for row in ground.run(step("Look"), step("Paint")).rows()}
    assert len(names) == 2
    assert all((ground.folder / "out" / name).is_file() for name in names)


def test_names_that_need_a_folder_where_a_picture_lies_cost_one_row(ground: Ground) -> None:
    ground.rows(
        {"id": 1, "text": "x", "image": "a.png"},
        {"id": 2, "text": "y", "image": "a_generated.png/b.png"},
        {"id": 3, "text": "z", "image": "c.png"},
    )
    outcome = ground.run(step("Paint"))
    assert sorted(map(str, outcome.kinds("generated_images"))) == ["None", "None", "name_taken"]
    assert outcome.kinds("generated_images")[2] is None


def test_hostile_ids_write_nothing_outside(ground: Ground) -> None:
    ids = ["../../../evil", "/evil", "..", "a\nb", "x" * 5000, "a/b", "a_b", "con|<>", "/"]
    ground.rows(*({"id": row_id, "text": "x", "image": "/"} for row_id in ids))
    outcome = ground.run(step("Paint"))
    assert outcome.kinds("results") == [None] * len(ids)
    names = [row["image"] for row in outcome.rows()]
    assert len({name.casefold() for name in names}) == len(ids)
    drawn = list(ground.folder.rglob("*.png"))
    assert len(drawn) == 2 * len(ids)
    assert {path.parent.name for path in drawn} == {"generated_images"}


@pytest.mark.parametrize(
    ("name", "said"),
    [("none.jsonl", "there is no such file"), ("rows.xyz", "tells no format")],
)
def test_an_input_that_cannot_be_had_is_a_clear_error(ground: Ground, name: str, said: str) -> None:
    (ground.source / "rows.xyz").touch()
    with pytest.raises(InputError, match=said):
        input_index(ground.pipeline(step("Upper"), meta_path=str(ground.source / name)))


def test_an_empty_folder_is_an_input_of_no_rows(ground: Ground) -> None:
    assert ground.run(step("Look"), meta_path=str(ground.source)).rows() == []
