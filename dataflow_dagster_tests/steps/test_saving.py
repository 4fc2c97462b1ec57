from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataflow_dagster.engines.session import Answer
from dataflow_dagster.media.clips import Clip
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.saving import SAVE_AHEAD, MediumSaver, Saved


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def answer(red: int = 0) -> Answer:
    return Answer(picture=Image.new("RGB", (4, 4), (red, 0, 0)), details={"steps": 3})


def test_a_picture_is_on_disk_before_its_answer_is_given(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    saver = MediumSaver(tmp_path / "drawn", pool)
    given = 0
    for number in range(3 * SAVE_AHEAD):
        work = Work(number, {"dataflow_name": f"deep/{number}.png"})
        for saved, value in saver.save(work, answer()):
            assert isinstance(value, dict)
            assert (saved.number, saved.row["dataflow_name"]) == (given, f"deep/{given}.png")
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
    saver, row = MediumSaver(tmp_path / "drawn", pool), {"dataflow_name": "a.png"}
    value = _save(saver, row)[0][1]
    assert isinstance(value, dict)
    assert saver.taken_over(row, value, tmp_path) == value
    drawn = tmp_path / "drawn/a_generated.png"
    drawn.unlink()
    Image.new("RGB", (4, 4), (9, 9, 9)).save(drawn)
    assert saver.taken_over(row, value, tmp_path) is None
    drawn.unlink()
    assert saver.taken_over(row, value, tmp_path) is None
    assert not saver.holds_all(iter([{"dataflow_drawn": value}]))
    assert saver.holds_all(iter([{}, {"dataflow_drawn": None}]))


def test_a_picture_of_another_folder_becomes_a_second_name_of_its_file(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    earlier = MediumSaver(tmp_path / "step_1/drawn", pool)
    value = _save(earlier, {"dataflow_name": "a.png"})[0][1]
    assert isinstance(value, dict)
    saver = MediumSaver(tmp_path / "step_2/painted", pool)
    own = saver.taken_over({"dataflow_name": "deep/b.png"}, value, tmp_path / "step_1")
    assert own == {**value, "image": "painted/deep/b_generated.png"}
    assert own is not None
    assert saver.path_of(own).samefile(earlier.path_of(value))
    earlier.path_of(value).write_bytes(b"")  # damaged, and with it its second name
    assert saver.taken_over({"dataflow_name": "c.png"}, value, tmp_path / "step_1") is None


def test_a_link_that_leads_out_costs_one_row(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn/out").symlink_to(tmp_path)
    saver = MediumSaver(tmp_path / "drawn", pool)
    saved = [
        *saver.save(Work(0, {"dataflow_name": "out/a.png"}), answer()),
        *saver.save(Work(1, {"dataflow_name": "b.png"}), answer()),
        *saver.finish(),
    ]
    assert isinstance(saved[0][1], RowError)
    assert saved[0][1].kind == "outside_folder"
    assert isinstance(saved[1][1], dict)
    assert not (tmp_path / "a_generated.png").exists()


def test_a_disk_that_cannot_be_written_is_no_rows_fault(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    (tmp_path / "drawn").symlink_to("/dev/full")
    saver = MediumSaver(tmp_path / "drawn", pool)
    with pytest.raises(OSError, match="drawn"):
        _save(saver, {"dataflow_name": "a.png"})


def test_a_clip_that_its_format_does_not_hold_costs_one_row(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    saver = MediumSaver(tmp_path / "filmed", pool, "video")
    fast = Answer(clip=Clip(np.zeros((2, 16, 16, 3), np.uint8), 120))
    rows: list[Row] = [{"dataflow_name": "a.gif"}, {"dataflow_name": "b.webm"}]
    works = [Work(number, row) for number, row in enumerate(rows)]
    saved = [*saver.save(works[0], fast), *saver.save(works[1], fast), *saver.finish()]
    (_, told), (_, kept) = saved
    assert isinstance(told, RowError)
    assert (told.kind, "fps is 120" in told.message) == ("clip_not_encoded", True)
    assert isinstance(kept, dict)
    assert [path.name for path in (tmp_path / "filmed").iterdir()] == ["b_generated.webm"]


def _save(saver: MediumSaver, row: Row) -> list[Saved]:
    return [*saver.save(Work(0, row), answer()), *saver.finish()]
