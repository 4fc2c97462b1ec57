from pathlib import Path

import pytest
from PIL import Image

from dataflow_dagster.io_managers.pictures import LazyPicture, save_pictures, with_lazy_pictures
from dataflow_dagster.rows import RowError


def test_a_lazy_picture_is_read_only_when_it_is_opened(tmp_path: Path) -> None:
    (row,) = with_lazy_pictures([{"dataflow_image": str(tmp_path / "gone.png")}])
    with pytest.raises(RowError, match="there is no such file"):
        row["dataflow_picture"].open()


def test_a_row_without_a_picture_has_none() -> None:
    assert with_lazy_pictures([{"id": 1}]) == [{"id": 1, "dataflow_picture": None}]


def test_pictures_that_are_on_disk_already_are_named_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    (row,) = save_pictures([{"p": LazyPicture(path), "n": 1}], tmp_path / "rows.jsonl")
    assert row == {"p": str(path), "n": 1}


def test_a_column_cannot_lead_a_picture_out_of_its_folder(tmp_path: Path) -> None:
    rows = [{"a/../../../../out": Image.new("RGB", (2, 2))}]
    (row,) = save_pictures(rows, tmp_path / "deep/rows.jsonl")
    saved = Path(next(iter(row.values()))).resolve()
    assert saved.is_relative_to((tmp_path / "deep/rows_pictures").resolve())
