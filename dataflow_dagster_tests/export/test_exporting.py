import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.export.request import MIB, ExportError
from dataflow_dagster_tests.export.exports import bytes_below, captioned_and_drawn, write
from dataflow_dagster_tests.steps.driving import Ground, draw, step

KINDS = ["webdataset", "hf", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_two_exports_of_the_same_results_are_the_same_bytes(
    ground: Ground, tmp_path: Path, kind: str
) -> None:
    pipeline = captioned_and_drawn(ground, shards=2)
    done = write(pipeline, tmp_path / "one", kind, which="both", rows_per_file=3)
    write(pipeline, tmp_path / "two", kind, which="both", rows_per_file=3)
    assert bytes_below(tmp_path / "one") == bytes_below(tmp_path / "two")
    assert (done.rows, done.left_out, [file.rows for file in done.files]) == (4, 1, [3, 1])
    note = json.loads((tmp_path / "one/_export.json").read_bytes())
    assert note["rows"] == 4
    assert set(bytes_below(tmp_path / "one")) - {"README.md", "_export.json"} == {
        file["name"] for file in note["files"]
    }


@pytest.mark.parametrize("shards", [None, 3])
def test_shards_are_joined_in_order(ground: Ground, tmp_path: Path, shards: int | None) -> None:
    import pyarrow.dataset

    pipeline = captioned_and_drawn(ground, **({} if shards is None else {"shards": shards}))
    write(pipeline, tmp_path / "cats", "parquet", failed=True)
    rows = pyarrow.dataset.dataset(tmp_path / "cats").to_table().to_pylist()
    assert [row["dataflow_id"] for row in rows] == [f"cat-{number}" for number in range(5)]
    assert [row["dataflow_error"] and row["dataflow_error"]["kind"] for row in rows] == [
        *[None] * 3,
        "corrupt_picture",
        None,
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_gone_names_its_row_and_file_and_leaves_nothing(
    ground: Ground, tmp_path: Path, kind: str
) -> None:
    pipeline = captioned_and_drawn(ground)
    gone = ground.folder / "out/generated_images/2_generated.png"
    gone.unlink()
    with pytest.raises(ExportError, match=f"row 'cat-2' of .*result.jsonl: its image {gone}"):
        write(pipeline, tmp_path / "there/out", kind, embed=True)
    assert bytes_below(tmp_path / "there") == {}
    assert list((tmp_path / "there").iterdir()) == []


def test_results_that_are_not_finished_are_not_exported(ground: Ground, tmp_path: Path) -> None:
    pipeline = captioned_and_drawn(ground, shards=3)
    (ground.folder / "out/result/00001-of-00003.manifest.json").unlink()
    with pytest.raises(ExportError, match=r"1 of 3 shards of results are not finished .*00001-of"):
        write(pipeline, tmp_path / "cats", "hf")


def test_results_older_than_their_captions_are_not_exported(ground: Ground, tmp_path: Path) -> None:
    ground.rows({"id": 1, "text": "a"})
    pipeline = ground.run(step("Upper")).pipeline
    kept = bytes_below(ground.folder / "out")
    ground.rows({"id": 1, "text": "b"})
    ground.run(step("Upper"))
    for name, content in kept.items():
        (ground.folder / "out" / name).write_bytes(content)
    with pytest.raises(ExportError, match=r"older than .*run the pipeline again"):
        write(pipeline, tmp_path / "cats", "parquet")


def test_only_columns_that_were_asked_for_go_along(ground: Ground, tmp_path: Path) -> None:
    import pyarrow.dataset

    pipeline = captioned_and_drawn(ground)
    done = write(pipeline, tmp_path / "cats", "parquet", columns=("text", "id"))
    table = pyarrow.dataset.dataset(tmp_path / "cats").to_table()
    assert table.column_names == ["text", "id"] == list(done.columns)
    with pytest.raises(ExportError, match=r"'texd'; allowed: .*dataflow_id, .*text"):
        write(pipeline, tmp_path / "more", "parquet", columns=("texd",))


def test_all_rows_failed_is_nothing_to_export(ground: Ground, tmp_path: Path) -> None:
    ground.rows({"text": "unfit"})
    pipeline = ground.run(step("Upper")).pipeline
    with pytest.raises(ExportError, match="nothing to export: all 1 rows failed"):
        write(pipeline, tmp_path / "cats", "webdataset")
    assert write(pipeline, tmp_path / "cats", "webdataset", failed=True).rows == 1


def test_texts_alone_have_no_column_of_pictures(ground: Ground, tmp_path: Path) -> None:
    ground.rows({"text": "a"}, {"text": "b"})
    done = write(ground.run(step("Upper")).pipeline, tmp_path / "cats", "hf")
    assert done.columns == ("dataflow_id", "text", "dataflow_source_text")
    assert done.without_media == 0


def test_a_column_that_no_step_reads_may_hold_no_picture_only_if_pictures_stay_away(
    ground: Ground, tmp_path: Path
) -> None:
    ground.rows({"id": 1, "text": "a", "image": 7})
    pipeline = ground.run(step("Upper")).pipeline
    with pytest.raises(ExportError, match=r"row '1', column 'image': 7 is a int.*--which none"):
        write(pipeline, tmp_path / "cats", "hf")
    assert write(pipeline, tmp_path / "cats", "hf", which="none").rows == 1


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_number_of_pictures(
    ground: Ground, tmp_path: Path, kind: str
) -> None:
    picture = draw(ground.source / "a.png")
    picture.write_bytes(picture.read_bytes() + bytes(2 * MIB))
    ground.rows(*({"id": n, "image": "a.png"} for n in range(100)))
    pipeline = ground.run(step("Look")).pipeline
    tracemalloc.start()
    options: dict[str, Any] = {"embed": True, "bytes_per_file": 64 * MIB}
    done = write(pipeline, tmp_path / "cats", kind, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(done.files) == 4
    assert peak < 80 * MIB  # of 200: one row group, twice
