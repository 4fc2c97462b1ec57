import gzip
import io
import json
import os
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataflow_dagster import rows
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.shards import index as shards
from dataflow_dagster.shards import repeats, scan
from dataflow_dagster.shards.index import Identity, InputIndex, open_index
from dataflow_dagster.shards.scan import Reading


def _write(path: Path, given: list[Row]) -> Path:
    Jsonl().write(path, given)
    return path


def _image(row: Row, row_id: str) -> str | None:
    return row.get("image", row_id)


def _open(path: Path | str, folder: Path, *, sharded: bool = True, **settings: Any) -> InputIndex:
    reading = Reading(str(path), **settings)
    return open_index(reading, folder / "index", _image, sharded=sharded)


def _identities(index: InputIndex) -> list[Identity]:
    return [index.identify(numbered) for numbered in index.read(0, index.rows)]


def _rows(index: InputIndex, start: int, stop: int) -> list[Row | RowError]:
    found = list(index.read(start, stop))
    assert [numbered.number for numbered in found] == list(range(start, stop))
    return [numbered.row for numbered in found]


def _files(folder: Path, given: list[Row]) -> dict[str, Path]:
    text = [{name: str(value) for name, value in row.items()} for row in given]
    lines = b"".join(rows.encode(row) + b"\n\n" for row in text)
    (folder / "rows.jsonl").write_bytes(lines)
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(lines))
    (folder / "rows.json").write_text(json.dumps(text))
    table = "n,text\n" + "".join(f'{row["n"]},"{row["text"]}"\n' for row in text)
    (folder / "rows.csv").write_text(table)
    pq.write_table(pa.Table.from_pylist(text), folder / "rows.parquet", row_group_size=700)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    "name", ["rows.jsonl", "rows.jsonl.gz", "rows.json", "rows.csv", "rows.parquet"]
)
@pytest.mark.parametrize("of", [1, 7, 64])
def test_shards_hold_every_row_once_and_in_order(tmp_path: Path, name: str, of: int) -> None:
    path = _files(tmp_path, [{"n": n, "text": f"a\n{n}"} for n in range(2000)])[name]
    index = _open(path, tmp_path)
    parts = [index.shard(at, of) for at in range(of)]

    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    found = [row for part in parts for row in _rows(index, part.start, part.stop)]
    assert found == [{"n": str(n), "text": f"a\n{n}"} for n in range(2000)]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet", "rows.csv"])
def test_all_shards_cost_two_passes_over_the_file_however_many_they_are(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = random.Random(7)
    given = [{"n": n, "text": texts.randbytes(150).hex()} for n in range(10_000)]
    path = _files(tmp_path, given)[name]
    read = _counted(monkeypatch)
    costs: list[float] = []
    for of in (2, 25):
        read.clear()
        for at in range(of):  # each as in a run of its own
            index = _open(path, tmp_path / str(of))
            part = index.shard(at, of)
            assert len(list(index.read(part.start, part.stop))) == 10_000 // of
        spools = (tmp_path / str(of)).rglob("*.spool")
        whole = sum(file.stat().st_size for file in [path, *spools])
        costs.append(sum(read) / max(whole, path.stat().st_size))
    assert costs[1] < 2.2, costs
    assert costs[1] - costs[0] < 0.2, costs


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of every read from a file of rows or a spool."""
    read: list[int] = []
    opened = Path.open

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            count = super().readinto(buffer)
            read.append(count or 0)
            return count

        def readall(self) -> bytes:
            found = super().readall()
            read.append(len(found))
            return found

    def counting(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode == "rb" and self.name.startswith(("rows", "index-")):
            return io.BufferedReader(Counted(self, "rb"))
        return opened(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", counting)
    return read


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_that_are_appended_come_to_the_last_shard(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pack = gzip.compress if name.endswith("gz") else bytes
    path.write_bytes(pack(b"".join(rows.encode({"n": n}) + b"\n" for n in range(100))))
    before = [_open(path, tmp_path).shard(at, 4) for at in range(4)]
    path.write_bytes(pack(b"".join(rows.encode({"n": n}) + b"\n" for n in range(150))))
    index = _open(path, tmp_path)
    assert [index.shard(at, 4) for at in range(4)] == [*before[:3], range(75, 150)]
    assert index.borders(4).moved is None
    assert _rows(index, 149, 150) == [{"n": 149}]


def test_a_shorter_file_and_another_number_of_shards_have_borders_of_their_own(
    tmp_path: Path,
) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": n} for n in range(100)])
    _open(path, tmp_path).borders(4)
    assert _open(path, tmp_path).borders(5).starts == (0, 20, 40, 60, 80)
    _write(path, [{"n": n} for n in range(90)])
    fewer = _open(path, tmp_path).borders(5)
    assert fewer.starts == (0, 18, 36, 54, 72)
    assert fewer.moved is not None
    assert fewer.moved.endswith(
        "has 90 rows where it had 100: the borders of its 5 shards are set anew"
    )


def test_a_damaged_gzip_has_the_same_errors_in_every_shard(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    lines = [rows.encode({"n": n, "text": f"{n * 7919 % 10007}"}) for n in range(3000)]
    lines[7] = b"bad"
    path.write_bytes(gzip.compress(b"\n".join(lines))[:-2000])
    whole = _open(path, tmp_path / "one", sharded=False)
    index = _open(path, tmp_path / "many")
    assert index.rows == whole.rows
    told = [
        [row.message if isinstance(row, RowError) else row for row in _rows(of, 0, of.rows)]
        for of in (whole, index)
    ]
    assert told[0] == told[1]
    assert sum(isinstance(row, str) for row in told[0]) == 2


def test_a_folder_of_pictures_is_an_input(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for n in range(700):
        (tmp_path / f"pictures/{n:03}.jpg").touch()
    index = _open(tmp_path / "pictures", tmp_path, image_key="picture")
    assert index.rows == 700
    assert _rows(index, 600, 602) == [{"picture": "600.jpg"}, {"picture": "601.jpg"}]


def test_files_of_a_folder_follow_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(5):
        count = 0 if part == 2 else 600
        _write(folder / f"{part}.jsonl", [{"n": part * 600 + n} for n in range(count)])
    index = _open(folder, tmp_path)

    numbers = [n for n in range(3000) if not 1200 <= n < 1800]
    assert index.rows == 2400
    for part in (index.shard(at, 11) for at in range(11)):
        assert _rows(index, part.start, part.stop) == [{"n": numbers[at]} for at in part]


def test_more_shards_than_rows_leave_some_empty(tmp_path: Path) -> None:
    index = _open(_write(tmp_path / "rows.jsonl", [{"n": 0}, {"n": 1}]), tmp_path)
    parts = [index.shard(at, 5) for at in range(5)]
    assert [len(part) for part in parts] == [0, 0, 1, 0, 1]
    assert [list(index.read(part.start, part.stop)) for part in parts if not part] == [[], [], []]


def test_no_rows_are_an_input_too(tmp_path: Path) -> None:
    index = _open(_write(tmp_path / "rows.jsonl", []), tmp_path)
    assert index.rows == 0
    assert [index.shard(at, 3) for at in range(3)] == [range(0)] * 3
    assert list(index.read(0, 0)) == []


@pytest.mark.parametrize(("at", "of"), [(3, 3), (-1, 3), (0, 0)])
def test_a_shard_that_does_not_exist_is_refused(tmp_path: Path, at: int, of: int) -> None:
    index = _open(_write(tmp_path / "rows.jsonl", [{"n": 0}]), tmp_path)
    with pytest.raises(ValueError, match=f"shard {at} of {of}"):
        index.shard(at, of)


def test_a_row_that_cannot_be_read_keeps_its_number_and_has_an_id(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"n": 0}\nbad\nbad\n{"n": 3}\n')
    index = _open(path, tmp_path)

    identities = _identities(index)

    assert index.rows == 4
    assert [who.error and who.error.kind for who in identities] == [
        *(None, "malformed_line", "malformed_line", None)
    ]
    assert len({who.id for who in identities}) == 4


def test_rows_are_known_by_id_or_else_by_content(tmp_path: Path) -> None:
    given = [{"id": "a"}, {"id": 7}, {"text": "x"}, {"text": "x"}, {"id": None}, {"text": "x"}]
    index = _open(_write(tmp_path / "rows.jsonl", given), tmp_path)
    assert [who.id for who in _identities(index)] == [
        *("a", "7", rows.content_id({"text": "x"}, 0), rows.content_id({"text": "x"}, 1)),
        *(rows.content_id({"id": None}, 0), rows.content_id({"text": "x"}, 2)),
    ]


def test_content_ids_count_over_all_files_and_shards(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    _write(tmp_path / "parts/1.jsonl", [{"text": "x"}, {"text": "y"}])
    _write(tmp_path / "parts/2.jsonl", [{"text": "x"}])
    index = _open(tmp_path / "parts", tmp_path)
    (last,) = index.read(2, 3)
    assert index.identify(last).id == rows.content_id({"text": "x"}, 1)


def test_the_second_row_of_one_id_fails(tmp_path: Path) -> None:
    given = [{"id": "a"}, {"id": "b"}, {"id": "a", "n": 1}, {"id": "a", "n": 2}]
    index = _open(_write(tmp_path / "rows.jsonl", given), tmp_path)

    identities = _identities(index)

    errors = [who.error for who in identities]
    assert errors[:2] == [None, None]
    for error in errors[2:]:
        assert error is not None
        assert error.kind == "repeated_id"
        assert error.message == "id 'a' stands in row 1 already; ids are unique"
    assert len({who.id for who in identities}) == 4


def test_text_and_number_are_one_id(tmp_path: Path) -> None:
    index = _open(_write(tmp_path / "rows.jsonl", [{"id": 1}, {"id": "1"}]), tmp_path)
    assert [who.error is None for who in _identities(index)] == [True, False]


def test_a_row_without_the_named_id_column_fails(tmp_path: Path) -> None:
    given = [{"name": "a"}, {"id": "b"}, {"name": ["c"]}, {"name": ["c"]}]
    index = _open(_write(tmp_path / "rows.jsonl", given), tmp_path, id_key="name")
    identities = _identities(index)
    assert [who.error and who.error.kind for who in identities] == [None, *["bad_id"] * 3]
    assert len({who.id for who in identities}) == 4


def test_a_name_that_an_earlier_row_has_is_taken_whatever_its_case(tmp_path: Path) -> None:
    images = ["a.jpg", "b.jpg", "A.JPG", "a.png", "b.jpg", "Übung.jpg", "übung.jpg"]
    index = _open(_write(tmp_path / "rows.jsonl", [{"image": name} for name in images]), tmp_path)
    taken = [who.name_is_taken for who in _identities(index)]
    assert taken == [False, False, True, False, True, False, True]
    assert taken == [index.name_is_taken(number) for number in range(7)]


def test_rows_that_make_nothing_take_no_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"image": None}, {"image": None}])
    assert [who.name_is_taken for who in _identities(_open(path, tmp_path))] == [False, False]


def test_a_limit_takes_the_first_rows(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": n} for n in range(2000)])
    for limit in (0, 3, 512, 700, 5000):
        index = _open(path, tmp_path, limit=limit)
        assert index.rows == min(limit, 2000)
        assert _rows(index, 0, index.rows) == [{"n": n} for n in range(min(limit, 2000))]


def test_an_index_is_read_again_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"id": "a"}, {"id": "a"}])
    first = _open(path, tmp_path)
    monkeypatch.setattr(shards, "_build", None)

    again = _open(path, tmp_path)

    assert (again.rows, again.signature) == (2, first.signature)
    assert [who.id for who in _identities(again)] == ["a", "a~1~484c670c"]
    assert again.identify(next(again.read(1, 2))).error is not None


def test_the_id_of_a_row_that_repeats_one_is_no_other_row_s_own(tmp_path: Path) -> None:
    rows = [{"id": "a"}, {"id": "a"}, {"id": "a~1"}, {"id": "a"}, {"id": "a~1"}, {"id": "a~2"}]
    identities = _identities(_open(_write(tmp_path / "rows.jsonl", rows), tmp_path))
    assert len({who.id for who in identities}) == len(rows)
    assert [who.id for who in identities if who.error is None] == ["a", "a~1", "a~2"]


@pytest.mark.parametrize(
    "settings", [{"id_key": "n"}, {"limit": 1}, {"naming": "other"}, {"image_key": "picture"}]
)
def test_another_way_of_reading_makes_another_index(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": 0}, {"n": 1}])
    assert _open(path, tmp_path).signature != _open(path, tmp_path, **settings).signature


def test_a_changed_file_makes_another_index(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": 0}])
    first = _open(path, tmp_path)
    _write(path, [{"n": 0}, {"n": 1}])
    second = _open(path, tmp_path)
    os.utime(path, (1, 1))
    third = _open(path, tmp_path)

    assert (first.rows, second.rows, third.rows) == (1, 2, 2)
    assert len({index.signature for index in (first, second, third)}) == 3
    assert len(list((tmp_path / "index").glob("index*.*[!k]"))) == 3


def test_a_picture_more_makes_another_index(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.jpg").touch()
    assert _open(tmp_path / "pictures", tmp_path).rows == 1
    (tmp_path / "pictures/b.jpg").touch()
    assert _open(tmp_path / "pictures", tmp_path).rows == 2


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"rows": 1}', b"\xff"])
def test_a_damaged_index_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": 0}])
    _open(path, tmp_path)
    (tmp_path / "index/index.json").write_bytes(content)
    assert _open(path, tmp_path).rows == 1


def test_an_index_without_its_other_files_is_made_anew(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": 0}])
    _open(path, tmp_path)
    for file in (tmp_path / "index").glob("*.npy"):
        file.unlink()
    assert _open(path, tmp_path).rows == 1


def test_a_file_that_became_shorter_is_told(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"n": n} for n in range(10)])
    index = _open(path, tmp_path)
    _write(path, [{"n": 0}])
    with pytest.raises(InputError, match="has 1 rows where 10 were found"):
        list(index.read(0, 10))


def test_a_missing_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file or folder"):
        _open(tmp_path / "rows.jsonl", tmp_path)
    assert not (tmp_path / "index").exists()


def test_places_are_thinned_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_MOST_PLACES", 4)
    path = _write(tmp_path / "rows.jsonl", [{"n": n} for n in range(10_000)])
    index = _open(path, tmp_path)
    assert len(json.loads((tmp_path / "index/index.json").read_bytes())["places"]) <= 4
    for start in (0, 63, 64, 5000, 9999):
        assert _rows(index, start, start + 1) == [{"n": start}]


def test_names_asked_for_later_make_another_index(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"image": "a"}, {"image": "a"}])
    assert not open_index(Reading(str(path)), tmp_path / "index").name_is_taken(1)
    assert _open(path, tmp_path).name_is_taken(1)


def test_memory_does_not_grow_with_the_number_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "_HELD", 1024)
    peaks: list[int] = []
    for count in (5_000, 25_000):
        given = [{"id": f"row {n}", "image": f"{n}.jpg"} for n in range(count)]
        path = _write(tmp_path / f"{count}.jsonl", given)
        del given
        _open(path, tmp_path)
        tracemalloc.start()
        index = open_index(Reading(str(path)), tmp_path / "measured", _image)
        for numbered in index.read(0, index.rows):
            index.identify(numbered)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("size", [0, 50])
@pytest.mark.parametrize("torn", ["index-*-ids.npy", "index-*-names.npy", "index.json"])
def test_an_index_of_which_a_file_is_torn_is_made_anew(
    tmp_path: Path, torn: str, size: int
) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"id": "a"}, {"id": "a"}])
    before = repr(_identities(_open(path, tmp_path)))
    (file,) = tmp_path.rglob(torn)
    file.write_bytes(file.read_bytes()[:size])
    assert repr(_identities(_open(path, tmp_path))) == before


def test_the_next_index_removes_what_a_killed_run_left_half_made(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", [{"id": "a"}])
    _open(path, tmp_path)
    (about,) = tmp_path.rglob("index.json")
    left = [about.with_name(f"{name}.0a1b.part") for name in ("index.json", "index-1-ids.npy")]
    for file in left:
        file.touch()
    _open(_write(path, [{"id": "a"}, {"id": "b"}]), tmp_path)
    assert [file for file in left if file.exists()] == []
