from pathlib import Path

import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import find_input
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.formats.pictures import PictureFolder


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _found(meta_path: Path | str) -> list[str]:
    return [file.name for file in find_input(str(meta_path)).files]


def test_a_file_stands_for_itself(tmp_path: Path) -> None:
    _touch(tmp_path, "a.jsonl", "b.csv")
    assert _found(tmp_path / "a.jsonl") == ["a.jsonl"]


def test_a_folder_with_metadata_stands_for_its_files_in_order(tmp_path: Path) -> None:
    _touch(tmp_path, "b.jsonl.gz", "a.ndjson", "c.jpg", ".hidden.jsonl", "notes.md")
    found = find_input(str(tmp_path))
    assert isinstance(found.format, Jsonl)
    assert [file.name for file in found.files] == ["a.ndjson", "b.jsonl.gz"]


def test_a_glob_stands_for_the_files_that_match(tmp_path: Path) -> None:
    _touch(tmp_path, "x/2.csv", "x/10.csv", "y/3.csv", "y/4.jsonl", "y/.5.csv", "z.csv/6.csv")
    assert _found(f"{tmp_path}/*/*.csv") == ["10.csv", "2.csv", "3.csv", "6.csv"]
    assert _found(f"{tmp_path}/**/[2-4].csv") == ["2.csv", "3.csv"]


def test_a_relative_glob_starts_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path, "data/a.csv")
    monkeypatch.chdir(tmp_path)
    assert _found("data/*.csv") == ["a.csv"]
    assert _found("*/a.csv") == ["a.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    _touch(tmp_path, "rows[1].csv", "rows1.csv")
    assert _found(tmp_path / "rows[1].csv") == ["rows[1].csv"]


@pytest.mark.parametrize("names", [(), ("a.jpg", "b/c.png"), ("notes.md",)])
def test_any_other_folder_is_one_of_pictures(tmp_path: Path, names: tuple[str, ...]) -> None:
    _touch(tmp_path, *names)
    found = find_input(str(tmp_path))
    assert isinstance(found.format, PictureFolder)
    assert [str(file) for file in found.files] == [str(tmp_path)]


def test_several_formats_at_once_are_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "a.csv", "b.jsonl")
    with pytest.raises(InputError, match=r"several formats \(a.csv, b.jsonl\)"):
        find_input(str(tmp_path))


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    _touch(tmp_path, "images.jsonl", "other.txt")
    with pytest.raises(InputError) as refused:
        find_input(str(tmp_path / "image.jsonl"))
    assert refused.value.path == str(tmp_path / "image.jsonl")
    assert f"did you mean '{tmp_path / 'images.jsonl'}'?" in refused.value.reason


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"nor is there the folder {tmp_path / 'missing'}"):
        find_input(str(tmp_path / "missing" / "rows.csv"))


def test_a_missing_file_unlike_any_is_told_with_the_allowed_endings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a file is one of \.csv, \.tsv"):
        find_input(str(tmp_path / "rows.csv"))


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be looked at: .*File name too long"):
        find_input(str(tmp_path / ("x" * 300 + ".csv")))


def test_a_glob_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file has a name like this"):
        find_input(f"{tmp_path}/*.csv")


def test_a_file_of_unknown_ending_is_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "rows.xlsx")
    with pytest.raises(InputError, match="the ending tells no format"):
        find_input(str(tmp_path / "rows.xlsx"))
