from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from dagster_shared.serdes import serialize_value
from PIL import Image

from dataflow_dagster.factory.samples import rows_table
from dataflow_dagster.rows import Row
from dataflow_dagster_tests.media.clips_made import write_video
from dataflow_dagster_tests.toys.pipelines import (
    FILM,
    NAME,
    PAINT,
    SHOUT,
    WATCH,
    picture_rows,
    pipeline,
    text_rows,
)
from dataflow_dagster_tests.toys.runs import materialize, told

pytestmark = pytest.mark.usefixtures("toys")


def _painted(folder: Path, rows: list[Row], **keys: Any) -> dg.ExecuteInProcessResult:
    keys["meta_folder"] = str(folder / "in")
    return materialize(pipeline(folder, [NAME, PAINT], rows=rows, **keys))


def _pictures(markdown: str) -> list[list[Image.Image]]:
    """The pictures of each line of a table."""
    found: list[list[Image.Image]] = []
    for line in markdown.splitlines()[2:]:
        parts = [part.split(")")[0] for part in line.split("![](data:image/jpeg;base64,")[1:]]
        found.append([Image.open(BytesIO(b64decode(part))) for part in parts])
    return found


def test_captions_show_picture_and_text(tmp_path: Path) -> None:
    shown = told(_painted(tmp_path, picture_rows(tmp_path / "in", 3)), "demo", "captions")
    lines = shown["pictures"].splitlines()
    assert lines[0] == "| picture | text |"
    assert [line.split("| ")[-1] for line in lines[2:]] == ["a red |", "a green |", "a blue |"]
    red, green, blue = (pictures[0].getpixel((2, 2)) for pictures in _pictures(shown["pictures"]))
    assert [max(range(3), key=lambda n: pixel[n]) for pixel in (red, green, blue)] == [0, 1, 2]


def test_results_show_source_text_and_drawn_picture(tmp_path: Path) -> None:
    result = _painted(tmp_path, picture_rows(tmp_path / "in", 3))
    shown = told(result, "demo", "results")["pictures"]
    assert shown.splitlines()[0] == "| picture | text | drawn |"
    assert [[picture.size for picture in line] for line in _pictures(shown)] == [
        [(4, 4), (8, 8)]
    ] * 3


def test_drawn_pictures_stand_after_the_text_they_are_of(tmp_path: Path) -> None:
    shown = told(_painted(tmp_path, picture_rows(tmp_path / "in", 1)), "demo", "generated_images")
    assert shown["pictures"].splitlines()[0] == "| text | picture |"


WHOLE = pytest.param(None, 40_000, marks=pytest.mark.full)


@pytest.mark.parametrize(("shards", "most"), [WHOLE, (1, 12_000)])
def test_large_pictures_stay_small_in_the_log(
    tmp_path: Path, shards: int | None, most: int
) -> None:
    rows = picture_rows(tmp_path / "in", 12)
    for row in rows:
        noise = Image.effect_noise((900, 700), 120).convert("RGB")
        noise.paste((255, 0, 0), (0, 0, 9, 9))
        noise.save(tmp_path / "in" / row["image"])
    sharded = {} if shards is None else {"shards": shards}
    result = _painted_shards(tmp_path, rows, **sharded)
    for event in result.get_asset_materialization_events():
        size = sum(len(str(value.value)) for value in event.materialization.metadata.values())
        assert size < most
        if event.materialization.asset_key.path[-1] == "captions":
            first = _pictures(str(event.materialization.metadata["pictures"].value))[0][0]
            assert max(first.size) == 80


def _painted_shards(folder: Path, rows: list[Row], **keys: Any) -> dg.ExecuteInProcessResult:
    of = pipeline(folder, [NAME, PAINT], rows=rows, meta_folder=str(folder / "in"), **keys)
    return materialize(of, partition_key="00000-of-00001" if keys else None)


def test_a_picture_that_is_gone_leaves_its_reason(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 2)
    (tmp_path / "in/0.png").unlink()
    of = pipeline(tmp_path, [NAME], rows=rows, meta_folder=str(tmp_path / "in"))
    result = materialize(of)
    assert "missing\\_file" in told(result, "demo", "raw_meta")["pictures"]
    assert len(told(result, "demo", "captions")["pictures"].splitlines()) == 3


def test_rows_of_texts_have_no_table_of_pictures(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT], rows=text_rows(2)))
    assert "pictures" not in told(result, "demo", "results")
    assert "pictures" not in told(result, "demo", "texts")


def test_clips_are_strips_beside_their_texts(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 2)
    of = pipeline(tmp_path, [NAME, FILM, WATCH], rows=rows, meta_folder=str(tmp_path / "in"))
    result = materialize(of)
    made, told_of, all_of = (
        told(result, "demo", asset)["pictures"]
        for asset in ("generated_videos", "video_captions", "results")
    )
    assert made.splitlines()[0] == "| text | clip |"
    assert told_of.splitlines()[0] == "| clip | text |"
    assert told_of.splitlines()[2].endswith("| 8 frames |")
    assert all_of.splitlines()[0] == "| picture | text | made |"
    (strip,) = _pictures(made)[0]
    assert strip.size == (4 * 48, 32)
    reds = [strip.convert("RGB").getpixel((48 * at + 24, 16))[0] for at in range(4)]
    assert reds == sorted(reds)
    assert reds[3] - reds[0] > 200


def test_rows_of_pictures_and_rows_of_clips_have_columns_of_their_own(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 2)
    write_video(tmp_path / "in/a.mp4", 20)
    (tmp_path / "in/bad.mp4").write_bytes(b"no clip")
    rows += [{"id": "a", "video": "a.mp4"}, {"id": "bad", "video": "bad.mp4"}]
    of = pipeline(tmp_path, [NAME, WATCH], rows=rows, meta_folder=str(tmp_path / "in"))
    result = materialize(of)
    first = told(result, "demo", "raw_meta")["pictures"].splitlines()
    assert first[0] == "| picture | clip |"
    assert first[5] == "|  | corrupt\\_video |"
    assert len(told(result, "demo", "video_captions")["pictures"].splitlines()) == 3
    assert len(_pictures(told(result, "demo", "results")["pictures"])) == 3


@pytest.mark.parametrize(("shards", "most"), [WHOLE, (1, 12_000)])
def test_long_and_large_clips_stay_small_in_the_log(
    tmp_path: Path, shards: int | None, most: int
) -> None:
    def noise(number: int) -> np.ndarray:
        return np.random.default_rng(number).integers(0, 255, (180, 320, 3), np.uint8)

    write_video(tmp_path / "in/a.mp4", 4, size=(320, 180), draw=noise)
    rows: list[Row] = [{"id": str(number), "video": "a.mp4"} for number in range(12)]
    sharded = {} if shards is None else {"shards": shards}
    of = pipeline(tmp_path, [WATCH], rows=rows, meta_folder=str(tmp_path / "in"), **sharded)
    result = materialize(of, partition_key="00000-of-00001" if sharded else None)
    for event in result.get_asset_materialization_events():
        metadata = event.materialization.metadata
        assert sum(len(str(value.value)) for value in metadata.values()) < most
        assert "data:image/jpeg" in str(metadata["pictures"].value)


def test_our_own_columns_stay_away_but_for_the_newest_text_and_picture() -> None:
    row = {"id": 1, "dataflow_text": "t", "dataflow_image": "p", "dataflow_key": "k"}
    assert rows_table([row]).splitlines()[0] == "| id | dataflow\\_text | dataflow\\_image |"
    assert rows_table([]) == "no rows"


@pytest.mark.parametrize("text", ["x", "\U0001f9ea", "|"])
@pytest.mark.parametrize(("shards", "most"), [(None, 64_000), (1, 24_000)])
def test_wide_rows_stay_small_in_the_log_and_say_what_was_left_out(
    tmp_path: Path, shards: int | None, most: int, text: str
) -> None:
    wide = {f"column_{number:04d}": text * 200 for number in range(300)}
    rows = [{**wide, "id": str(number), "text": "t"} for number in range(12)]
    sharded = {} if shards is None else {"shards": shards}
    of = pipeline(tmp_path, [SHOUT], rows=rows, **sharded)
    result = materialize(of, partition_key="00000-of-00001" if sharded else None)
    for event in result.get_asset_materialization_events():
        assert len(serialize_value(event)) < most
        (asset,) = event.materialization.asset_key.path[1:]
        shown = told(result, "demo", asset)
        head = shown["rows"].splitlines()[0]
        assert "| id |" in head
        assert "text" in head
        assert shown["rows"].endswith(" more columns are not shown")
        assert "of which the schema shows" in shown["columns"]
        assert {"id", "text"} <= {column.name for column in shown["dagster/column_schema"].columns}


def test_all_columns_of_usual_rows_are_shown(tmp_path: Path) -> None:
    row = {f"column {number}": "a few words of text" for number in range(12)}
    of = pipeline(tmp_path, [SHOUT], rows=[{**row, "text": "t"}] * 8)
    shown = told(materialize(of), "demo", "results")
    assert shown["rows"].splitlines()[0].count("column") == 12
    assert "columns" not in shown
