from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataflow_dagster.export.request import ExportError
from dataflow_dagster_tests.export.exports import captioned_and_drawn, write
from dataflow_dagster_tests.steps.driving import Ground, draw, step


def _loaded(folder: Path, cache: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))


def test_load_dataset_gives_pictures_and_captions(ground: Ground, tmp_path: Path) -> None:
    pipeline = captioned_and_drawn(ground)
    write(pipeline, tmp_path / "cats", "hf", which="both", rows_per_file=2)
    found = _loaded(tmp_path / "cats", tmp_path / "cache")
    assert str(found.features["image"]).startswith("Image(")
    assert found["dataflow_id"][:] == ["cat-0", "cat-1", "cat-2", "cat-4"]
    assert found[0]["text"] == "4x4 (255, 0, 0)"
    assert found[0]["dataflow_source_image"].getpixel((0, 0)) == (255, 0, 0)
    drawn = Image.open(ground.folder / "out/generated_images/0_generated.png").convert("RGB")
    assert found[0]["image"].tobytes() == drawn.tobytes()


def test_columns_of_every_type_reach_load_dataset(ground: Ground, tmp_path: Path) -> None:
    odd = {"id": 1, "text": "a", "n": 1, "tags": ["x"], "mixed": 1, "box": {"x": 0.5}, "no": None}
    ground.rows(odd, {"id": 2, "text": "b", "n": 2, "tags": [], "mixed": "b", "box": {"x": 1}})
    write(ground.run(step("Upper")).pipeline, tmp_path / "rows", "hf")
    first = _loaded(tmp_path / "rows", tmp_path / "cache")[0]
    assert (first["n"], first["tags"], first["box"], first["mixed"], first["text"]) == (
        *(1, ["x"], {"x": 0.5}, "1", "A"),
    )


def test_a_row_without_a_picture_is_a_null_among_pictures(ground: Ground, tmp_path: Path) -> None:
    draw(ground.source / "a.png")
    ground.rows({"id": 1, "image": "a.png"}, {"id": 2, "image": None})
    done = write(ground.run(step("Look")).pipeline, tmp_path / "rows", "hf")
    assert done.without_media == 1
    assert [picture is None for picture in _loaded(tmp_path / "rows", tmp_path / "c")["image"]] == [
        False,
        True,
    ]


def test_pyarrow_reads_paths_that_hold_everywhere(ground: Ground, tmp_path: Path) -> None:
    import pyarrow.dataset

    write(captioned_and_drawn(ground), tmp_path / "cats", "parquet", which="both")
    rows = pyarrow.dataset.dataset(tmp_path / "cats").to_table().to_pylist()
    assert rows[0]["image"] == str(ground.folder / "out/generated_images/0_generated.png")
    assert rows[0]["dataflow_source_image"] == str(ground.source / "0.png")


def test_pyarrow_reads_the_bytes_of_pictures(ground: Ground, tmp_path: Path) -> None:
    import pyarrow.dataset

    done = write(captioned_and_drawn(ground), tmp_path / "cats", "parquet", embed=True)
    (first, *_) = pyarrow.dataset.dataset(tmp_path / "cats").to_table().to_pylist()
    assert first["image"] == "generated_images/0_generated.png"
    assert Image.open(BytesIO(first["image_bytes"])).size == (4, 4)
    assert "image_bytes" in done.columns


def test_a_column_of_the_user_is_not_overwritten_by_bytes(ground: Ground, tmp_path: Path) -> None:
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png", "image_bytes": 7})
    pipeline = ground.run(step("Look")).pipeline
    with pytest.raises(ExportError, match="'image_bytes' already"):
        write(pipeline, tmp_path / "cats", "parquet", embed=True)
