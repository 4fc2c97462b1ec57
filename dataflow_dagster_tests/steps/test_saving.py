from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from dataflow_dagster.engines.session import Answer
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.steps.saving import SAVE_AHEAD, PictureSaver, Saved


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def answer(red: int = 0) -> Answer:
    return Answer(picture=Image.new("RGB", (4, 4), (red, 0, 0)), details={"steps": 3})


def test_a_picture_is_on_disk_before_its_answer_is_given(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    saver = PictureSaver(tmp_path / "drawn", pool)
    given = 0
    for number in range(3 * SAVE_AHEAD):
        row = {"dataflow_name": f"deep/{number}.png"}
        for saved, of, value in saver.save(number, row, answer()):
            assert isinstance(value, dict)
            assert (saved, of["dataflow_name"]) == (given, f"deep/{given}.png")
            assert value["image"] == f"drawn/deep/{given}_generated.png"
            assert value["steps"] == 3
            assert saver.path_of(value).is_file()
            given += 1
        assert len(saver) <= SAVE_AHEAD
    assert given + len(list(saver.finish())) == 3 * SAVE_AHEAD
    assert len(saver) == 0
    assert not list(tmp_path.rglob("*.part"))


def test_an_earlier_picture_holds_while_it_lies_there_unchanged(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    saver, row = PictureSaver(tmp_path / "drawn", pool), {"dataflow_name": "a.png"}
    value = _save(saver, row)[0][2]
    assert isinstance(value, dict)
    assert saver.holds(row, value)
    assert not saver.holds({"dataflow_name": "b.png"}, value)
    Image.new("RGB", (4, 4), (9, 9, 9)).save(tmp_path / "drawn/a_generated.png")
    assert not saver.holds(row, value)
    (tmp_path / "drawn/a_generated.png").unlink()
    assert not saver.holds(row, value)
    assert not saver.holds_all(iter([{"dataflow_drawn": value}]))
    assert saver.holds_all(iter([{}, {"dataflow_drawn": None}]))


def test_a_link_that_leads_out_costs_one_row(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn/out").symlink_to(tmp_path)
    saver = PictureSaver(tmp_path / "drawn", pool)
    saved = [
        *saver.save(0, {"dataflow_name": "out/a.png"}, answer()),
        *saver.save(1, {"dataflow_name": "b.png"}, answer()),
        *saver.finish(),
    ]
    assert isinstance(saved[0][2], RowError)
    assert saved[0][2].kind == "outside_folder"
    assert isinstance(saved[1][2], dict)
    assert not (tmp_path / "a_generated.png").exists()


def test_a_disk_that_cannot_be_written_is_no_rows_fault(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    (tmp_path / "drawn").symlink_to("/dev/full")
    saver = PictureSaver(tmp_path / "drawn", pool)
    with pytest.raises(OSError, match="drawn"):
        _save(saver, {"dataflow_name": "a.png"})


def _save(saver: PictureSaver, row: Row) -> list[Saved]:
    return [*saver.save(0, row, answer()), *saver.finish()]
