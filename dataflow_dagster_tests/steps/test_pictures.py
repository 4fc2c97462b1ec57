import os
from pathlib import Path

import pytest

from dataflow_dagster.rows import RowError
from dataflow_dagster.steps.pictures import (
    file_digest,
    generated_name,
    name_after,
    path_below,
    with_hash,
)

META = Path("/data/pictures")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a.jpg", "a.jpg"),
        ("cats/b/a.jpeg", "cats/b/a.jpeg"),
        ("./cats//a.PNG", "cats/a.PNG"),
        ("../../etc/passwd", "etc/passwd.png"),
        ("cats/../a.webp", "cats/a.webp"),
        ("/data/pictures/cats/a.jpg", "cats/a.jpg"),
        ("/data/pictures/../x/a.jpg", "x/a.jpg"),
        ("/elsewhere/a.jpg", "a.jpg"),
        ("a.gif", "a.png"),
        ("a.tar.heic", "a.tar.png"),
        ("a", "a.png"),
        (".hidden", ".hidden.png"),
        ("a.", "a..png"),
        ("ä 猫/🐈.jpg", "ä 猫/🐈.jpg"),
        (None, "the id.png"),
        ("", "the id.png"),
        (".", "the id.png"),
        ("..", "the id.png"),
        ("/", "the id.png"),
        ("a\0b.jpg", "the id.png"),
        (3, "the id.png"),
        (["a.jpg"], "the id.png"),
        ({"path": "a.jpg"}, "the id.png"),
        (True, "the id.png"),
    ],
)
def test_outputs_are_named_after_the_rows_own_picture(value: object, name: str) -> None:
    assert name_after(value, META, "the id") == name


@pytest.mark.parametrize(
    "value", ["/", "..", None, "x" * 4000, "/".join(["é" * 100] * 20) + "/a.jpg", "a/\ud800.jpg"]
)
@pytest.mark.parametrize(
    "row_id",
    ["../../etc/passwd", "/", "//", "..", ".", "a/../../b", "x" * 3000, "\ud800", "\n", "a\\b:*?"],
)
def test_a_hostile_value_or_id_gives_a_name_that_every_disk_takes(
    value: object, row_id: str, tmp_path: Path
) -> None:
    name = with_hash(name_after(value, META, row_id), row_id)
    generated = generated_name({"dataflow_name": name, "dataflow_repeat": "_10_10"})
    path = path_below(tmp_path / "pictures", generated)
    path.with_name(path.name + ".part").touch()
    path.touch()
    assert path.resolve().is_relative_to(tmp_path / "pictures")
    assert path.suffix in (".png", ".jpg")


def test_long_folders_of_one_picture_name_stay_apart() -> None:
    names = {name_after(f"{letter * 150}/" * 10 + "a.jpg", META, "id") for letter in "xyz"}
    assert len(names) == 3
    assert all(len(name) < 1000 for name in names)


def test_cut_parts_stay_apart() -> None:
    assert len({name_after("x" * 200 + end, META, "id") for end in ("1.jpg", "2.jpg")}) == 2


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"dataflow_name": "cats/a.jpg"}, "cats/a_generated.jpg"),
        ({"dataflow_name": "a.jpg", "dataflow_repeat": "_2"}, "a_generated_2.jpg"),
        ({"dataflow_name": "a.jpg", "dataflow_repeat": "_0_2"}, "a_generated_0_2.jpg"),
        ({"dataflow_name": "a.jpg", "dataflow_repeat": None}, "a_generated.jpg"),
        ({"dataflow_name": "a..png"}, "a._generated.png"),
    ],
)
def test_drawn_pictures_are_named_after_the_row(row: dict[str, object], name: str) -> None:
    assert generated_name(row) == name


def test_the_hash_that_tells_equal_names_apart_is_that_of_the_id() -> None:
    assert with_hash("cats/a.jpg", "1") == with_hash("cats/a.jpg", "1")
    assert with_hash("cats/a.jpg", "1") != with_hash("cats/a.jpg", "2")
    assert with_hash("cats/a.jpg", "1").startswith("cats/a_")
    assert len(with_hash("a.jpg", "1")) == len("a_01234567.jpg")


def test_a_link_that_leads_out_is_refused_and_nothing_is_made_behind_it(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "cats").symlink_to(outside)
    (inside / "a.png").symlink_to(outside / "a.png")
    (inside / "round").symlink_to(inside / "round")
    (inside / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("cats/x/a.png", "cats/a.png", "a.png", "../a.png", "round/a.png", "dangling/a"):
        with pytest.raises(RowError) as refused:
            path_below(inside, name)
        assert refused.value.kind == "outside_folder"
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_link_within_the_folder_and_a_folder_that_is_a_link_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "pictures").symlink_to(tmp_path / "real")
    (tmp_path / "real/also").symlink_to(tmp_path / "real/deep")
    assert path_below(tmp_path / "pictures", "also/a.png").parent.is_dir()


def test_a_name_that_needs_a_folder_where_a_file_is_costs_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").mkdir()
    for name in ("a.png/c.png", "a.png/d/c.png", "b.png"):
        with pytest.raises(RowError) as refused:
            path_below(tmp_path, name)
        assert refused.value.kind == "name_taken"


def test_a_folder_that_cannot_be_made_is_no_rows_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        path_below(tmp_path / "file/pictures", "a.png")


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    os.utime(tmp_path / "b", (1, 1))
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"else")
    assert file_digest(tmp_path / "a") != file_digest(tmp_path / "b")
    assert file_digest(tmp_path / "none") is None
