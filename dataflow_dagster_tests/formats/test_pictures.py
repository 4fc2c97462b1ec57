from pathlib import Path

import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.pictures import PictureFolder


def _paths(folder: Path) -> list[str]:
    return [row["picture"] for block in PictureFolder("picture").read(folder) for row in block.rows]


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_pictures_of_all_folders_come_in_order(tmp_path: Path) -> None:
    _touch(tmp_path, "b.PNG", "a/z.jpg", "a/b/c.webp", "c.jpeg", "写真.tiff", "a b.gif")
    assert _paths(tmp_path) == [
        *("a/b/c.webp", "a/z.jpg", "a b.gif", "b.PNG", "c.jpeg", "写真.tiff"),
    ]


def test_what_is_no_picture_or_hidden_is_passed_over(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jpg", "notes.txt", "._a.jpg", ".cache/b.jpg", "no_ending", ".jpg")
    assert _paths(tmp_path) == ["a.jpg"]


def test_a_link_to_a_folder_is_followed_but_not_round(tmp_path: Path) -> None:
    _touch(tmp_path, "pictures/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "pictures/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pictures/loop").symlink_to(tmp_path / "pictures")
    assert _paths(tmp_path / "pictures") == ["a.jpg", "link/b.jpg"]


def test_an_empty_folder_has_no_rows(tmp_path: Path) -> None:
    assert _paths(tmp_path) == []


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be listed"):
        _paths(tmp_path / "missing")


def test_reading_begins_at_any_mark(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"{n % 3}/{n:04}.jpg" for n in range(1200)))
    whole = _paths(tmp_path)
    blocks = list(PictureFolder("picture").read(tmp_path))
    for at, block in enumerate(blocks):
        again = PictureFolder("picture").read(tmp_path, block.start)
        assert [row["picture"] for rest in again for row in rest.rows] == whole[at * 512 :]
