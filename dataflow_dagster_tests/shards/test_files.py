import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.rows import Row, content_id
from dataflow_dagster.shards import files as file_shards
from dataflow_dagster.shards import scan
from dataflow_dagster.shards.catalogue import Catalogue
from dataflow_dagster.shards.files import FileShards, list_files
from dataflow_dagster.shards.index import Identity, InputIndex
from dataflow_dagster.shards.scan import Reading


class Files:
    """A folder of files, each a shard."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = folder / "in"
        self.base.mkdir()

    def write(self, name: str, *rows: Row) -> Path:
        path = self.base / name
        Jsonl().write(path, rows)
        return path

    def register(self) -> list[str]:
        names = list_files(str(self.base), "image").names
        return Catalogue(self.folder / "index").register(names, 1)

    def open(self) -> FileShards:
        return FileShards(Reading(str(self.base)), self.folder / "index", _image)

    def identities(self, key: str) -> list[Identity]:
        index = self.open().index(key)
        return [index.identify(numbered) for numbered in index.read(0, index.rows)]


def _image(row: Row, row_id: str) -> str | None:
    return row.get("image", row_id)


def _scribble(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read for the index."""
    names: list[str] = []
    run = scan.Scan.run

    def noted(self: Any, *rest: Any) -> None:
        names.extend(path.name for path in self._input.files)
        run(self, *rest)

    monkeypatch.setattr(file_shards.Scan, "run", noted)
    return names


def test_a_shard_is_its_files_and_its_numbers_begin_at_none(files: Files) -> None:
    files.write("a.jsonl", {"n": 0}, {"n": 1})
    files.write("b.jsonl", {"n": 2})
    keys = files.register()
    indexes: list[InputIndex] = [files.open().index(key) for key in keys]
    rows = [[(r.number, r.row) for r in index.read(0, index.rows)] for index in indexes]
    assert rows == [[(0, {"n": 0}), (1, {"n": 1})], [(0, {"n": 2})]]


def test_an_id_that_an_earlier_shard_has_fails_its_row_and_is_told_where(files: Files) -> None:
    files.write("a.jsonl", {"id": "x"}, {"id": "y"})
    files.write("b.jsonl", {"id": "z"}, {"id": "y"}, {"id": "y"})
    files.write("c.jsonl", {"id": "y"})
    first, second, third = files.register()
    assert [who.error for who in files.identities(first)] == [None, None]
    found = files.identities(second)
    assert [who.id[:4] for who in found] == ["z", "y~1~", "y~2~"]
    assert found[1].error is not None
    assert found[1].error.message == (
        "id 'y' stands in row 2 of shard 00000 already; ids are unique"
    )
    assert files.identities(third)[0].id.startswith("y~3~")


def test_rows_without_ids_and_names_are_told_apart_over_all_shards(files: Files) -> None:
    files.write("a.jsonl", {"image": "x.png"}, {"image": "x.png"})
    files.write("b.jsonl", {"image": "X.PNG"}, {"image": "x.png"})
    first, second = files.register()
    found = [*files.identities(first), *files.identities(second)]
    assert [who.name_is_taken for who in found] == [False, True, True, True]
    assert len({who.id for who in found}) == 4
    assert found[3].id == content_id({"image": "x.png"}, 2)
    assert [who.error for who in found] == [None] * 4


def test_the_first_row_wins_whichever_shard_is_asked_for_first(files: Files) -> None:
    files.write("a.jsonl", {"id": "x"})
    files.write("b.jsonl", {"id": "x"})
    first, second = files.register()
    assert files.identities(second)[0].error is not None
    assert files.identities(first)[0].error is None


def test_every_file_is_read_once_for_the_index_and_new_ones_alone_later(
    files: Files, scanned: list[str]
) -> None:
    for name in "abc":
        files.write(f"{name}.jsonl", {"id": name})
    for key in [*files.register(), *files.register()]:
        files.identities(key)
    assert scanned == ["a.jsonl", "b.jsonl", "c.jsonl"]
    scanned.clear()
    files.write("aa.jsonl", {"id": "b"})
    (new,) = files.register()
    assert new == "00003-aa"
    assert files.identities(new)[0].error is not None
    assert scanned == ["aa.jsonl"]


def test_an_edited_file_gives_its_ids_free_and_costs_itself_alone(
    files: Files, scanned: list[str]
) -> None:
    path = files.write("a.jsonl", {"id": "x"})
    files.write("b.jsonl", {"id": "x"})
    first, second = files.register()
    before = files.open().index(second).signature
    assert files.identities(second)[0].error is not None
    scanned.clear()
    files.write("a.jsonl", {"id": "other"})
    os.utime(path, (1, 1))
    files.identities(first)
    assert files.identities(second)[0].error is None
    assert files.open().index(second).signature != before
    assert scanned == ["a.jsonl"]


def test_a_shard_s_signature_holds_while_files_come_after_it(files: Files) -> None:
    files.write("b.jsonl", {"id": "x"})
    (key,) = files.register()
    before = files.open().index(key).signature
    files.write("a.jsonl", {"id": "x"})
    (new,) = files.register()
    files.identities(new)
    assert files.open().index(key).signature == before


def test_a_file_that_is_gone_is_named_and_stops_no_other_shard(files: Files) -> None:
    path = files.write("a.jsonl", {"id": "x"})
    files.write("b.jsonl", {"id": "x"})
    first, second = files.register()
    path.unlink()
    with pytest.raises(InputError, match=r"a.jsonl: is gone; shard 00000 was registered with it"):
        files.open().index(first)
    assert files.identities(second)[0].error is None


def test_pictures_are_files_too(files: Files) -> None:
    for name in ("b.png", "deep/a.jpg", "c.png"):
        (files.base / name).parent.mkdir(exist_ok=True)
        (files.base / name).touch()
    names = list_files(str(files.base), "picture").names
    keys = Catalogue(files.folder / "index").register(names, 2)
    assert keys == ["00000-b", "00001-a"]
    shards = FileShards(Reading(str(files.base), "picture"), files.folder / "index", _image)
    rows = [[r.row for r in shards.index(key).read(0, 9)] for key in keys]
    assert rows == [[{"picture": "b.png"}, {"picture": "c.png"}], [{"picture": "deep/a.jpg"}]]


def test_a_glob_names_files_from_where_it_begins(files: Files) -> None:
    (files.base / "2024").mkdir()
    files.write("2024/a.jsonl", {"n": 0})
    listing = list_files(str(files.base / "*" / "*.jsonl"), "image")
    assert list(listing.names) == ["2024/a.jsonl"]
    assert (str(listing.base), listing.stamp("gone")) == (str(files.base), "")


@pytest.mark.parametrize("at_once", [(1, 500), (10, 3), (50_000, 500)])
def test_shards_read_together_are_as_if_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scanned: list[str], at_once: tuple[int, int]
) -> None:
    monkeypatch.setattr(file_shards, "_AT_ONCE_ROWS", at_once[0])
    monkeypatch.setattr(file_shards, "_AT_ONCE_SHARDS", at_once[1])
    files = Files(tmp_path)
    random = Random(0)
    for number in range(20):
        rows = [{"id": str(random.randrange(30)), "image": f"{n % 4}.png"} for n in range(6)]
        files.write(f"{number:02}.jsonl", *rows)
    keys = files.register()
    alone = [files.identities(key) for key in keys]
    (files.folder / "index" / "occurrences.sqlite").unlink()
    scanned.clear()
    with files.open() as shards:
        shards.read(keys)
        indexes = [shards.index(key) for key in keys]
        together = [[i.identify(row) for row in i.read(0, i.rows)] for i in indexes]
    assert repr(together) == repr(alone)  # errors are equal to themselves alone
    assert len(scanned) == 20


def test_of_shards_read_together_a_file_that_is_gone_stops_its_own_alone(files: Files) -> None:
    gone = files.write("a.jsonl", {"id": "x"})
    files.write("b.jsonl", {"id": "x"})
    first, second = files.register()
    gone.rename(gone.with_suffix(".away"))
    with files.open() as shards:
        shards.read([first, second])
        with pytest.raises(InputError, match="is gone"):
            shards.index(first)
        index = shards.index(second)
        assert [index.identify(row).error for row in index.read(0, 1)] == [None]
    gone.with_suffix(".away").rename(gone)
    with files.open() as shards:
        shards.read([first, second])
        index = shards.index(second)
        assert [index.identify(row).error for row in index.read(0, 1)] != [None]


@pytest.mark.parametrize("torn", [lambda path: os.truncate(path, 5000), _scribble])
def test_what_was_found_is_found_again_where_its_file_is_damaged(
    files: Files, torn: Callable[[Path], None]
) -> None:
    files.write("a.jsonl", {"id": "x"})
    files.write("b.jsonl", {"id": "x"})
    first, second = files.register()
    whole = [repr(files.identities(key)) for key in (first, second)]
    torn(files.folder / "index/occurrences.sqlite")
    said: list[str] = []
    with FileShards(Reading(str(files.base)), files.folder / "index", _image, said.append) as open_:
        open_.read([second])
        index = open_.index(second)
        assert repr([index.identify(row) for row in index.read(0, 9)]) == whole[1]
    assert len(said) == 1
    assert said[0].endswith(
        "occurrences.sqlite is damaged and is made anew: the files are read once more"
    )


@pytest.mark.parametrize("torn", [lambda path: os.truncate(path, 5000), _scribble])
def test_which_files_make_which_shard_cannot_be_made_anew_and_the_way_out_is_told(
    files: Files, torn: Callable[[Path], None]
) -> None:
    files.write("a.jsonl", {"id": "x"})
    (key,) = files.register()
    torn(files.folder / "index/shards.sqlite")
    with pytest.raises(InputError, match=r"shards.sqlite: is damaged.*delete it"):
        files.identities(key)
    (files.folder / "index/shards.sqlite").unlink()
    assert files.register() == [key]
