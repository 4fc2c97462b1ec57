from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from dataflow_dagster.io_managers.files import ParquetVideosIOManager, VideosIOManager
from dataflow_dagster.io_managers.videos import LazyClip, save_clips, with_lazy_clips
from dataflow_dagster.media.clips import Clip
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.clips_made import numbered, numbers_of, write_video
from dataflow_dagster_tests.toys.pipelines import FILM, pipeline
from dataflow_dagster_tests.toys.runs import materialize

Manager = type[VideosIOManager | ParquetVideosIOManager]


def test_a_lazy_clip_is_read_only_when_it_is_looked_at(tmp_path: Path) -> None:
    (row,) = with_lazy_clips([{"dataflow_video": str(tmp_path / "late.mp4")}])
    with pytest.raises(RowError, match="there is no such file"):
        row["dataflow_clip"].poster()
    write_video(tmp_path / "late.mp4", 9)
    frames = row["dataflow_clip"].frames(3, max_pixels=64 * 32)
    assert numbers_of(frames.pixels) == [0, 4, 8]
    assert frames.pixels.shape == (3, 32, 64, 3)
    assert row["dataflow_clip"].poster().size == (128, 64)


def test_a_row_without_a_clip_has_none() -> None:
    assert with_lazy_clips([{"id": 1}]) == [{"id": 1, "dataflow_clip": None}]


def test_clips_that_are_on_disk_already_are_named_not_copied(tmp_path: Path) -> None:
    rows = [{"id": 1, "dataflow_clip": LazyClip(tmp_path / "a.mp4")}]
    assert list(save_clips(rows, tmp_path / "rows.jsonl")) == [
        {"id": 1, "dataflow_clip": str(tmp_path / "a.mp4")}
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("stored", ["jsonl", "parquet"])
def test_a_users_asset_gets_generated_clips_that_open_late(stored: str, tmp_path: Path) -> None:
    of = pipeline(tmp_path, [FILM], rows=[{"id": "1", "text": "red"}, {"id": "2"}], format=stored)
    got: list[Any] = []

    @dg.asset(ins={"rows": dg.AssetIn(key=dg.AssetKey(["demo", "generated_videos"]))})
    def own(rows: list[dict]) -> None:
        got.extend(rows)

    assert materialize(of, more=[own]).success
    clip, none = (row["dataflow_clip"] for row in got)
    assert clip.path == tmp_path / "demo/base/step_1_Toy_Filmer/generated_videos/1_generated.mp4"
    assert clip.frames(8).pixels.shape == (8, 32, 48, 3)
    assert none is None


@pytest.mark.parametrize("manager", [VideosIOManager, ParquetVideosIOManager])
def test_clips_in_a_users_rows_are_saved_beside_them(tmp_path: Path, manager: Manager) -> None:
    made = Clip(np.stack([numbered(number) for number in range(4)]), 8)
    got: list[Any] = []

    @dg.asset
    def mine() -> Any:
        return [{"id": "1", "dataflow_video": made}, {"id": "2"}]

    @dg.asset
    def next_one(mine: list[dict]) -> None:
        got.extend(mine)

    io = manager(base_folder=str(tmp_path))
    assert dg.materialize([mine, next_one], resources={"io_manager": io}).success
    assert (tmp_path / "mine_clips/000000_dataflow_video.mp4").is_file()
    assert numbers_of(got[0]["dataflow_clip"].frames(4).pixels) == [0, 1, 2, 3]
    assert got[1]["dataflow_clip"] is None
