from pathlib import Path

import pytest

from dataflow_dagster.io_managers.videos import with_lazy_clips
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.clips_made import numbers_of, write_video


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
