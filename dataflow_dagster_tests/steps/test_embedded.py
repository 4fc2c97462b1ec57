"""Inputs whose rows hold the pictures themselves."""

import io
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataflow_dagster_tests.export.exports import captioned_and_drawn, write
from dataflow_dagster_tests.steps.driving import Ground, step

COLORS = [(255, 0, 0), (0, 128, 0), (255, 0, 0)]


def _bytes(color: tuple[int, int, int], kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(content, kind)
    return content.getvalue()


def _parquet(path: Path, images: list[Any], **columns: list[Any]) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": images, **columns}), path)
    return str(path)


def _seen(ground: Ground, meta_path: str, **keys: Any) -> list[str]:
    outcome = ground.run(step("Look"), step("Paint"), meta_path=meta_path, **keys)
    assert outcome.errors() == []
    return [row["text"] for row in outcome.rows()]


@pytest.mark.parametrize("keys", [{}, {"shards": 2}])
def test_pictures_of_a_hugging_face_dataset_are_put_into_files_once(
    ground: Ground, keys: dict[str, Any]
) -> None:
    images = [{"bytes": _bytes(c), "path": f"cats/{n}.png"} for n, c in enumerate(COLORS)]
    path = _parquet(ground.source / "a.parquet", images, n=[0, 1, 2])
    expected = [f"4x4 {color}" for color in COLORS]
    assert _seen(ground, path, **keys) == expected
    media = list((ground.folder / "base").rglob("media/*/*"))
    assert len(media) == 2
    outcome = ground.run(step("Look"), step("Paint"), meta_path=path, **keys)
    assert ground.opened() == 0
    assert [row["image"] for row in outcome.rows()] == [
        f"generated_images/cats/{n}_generated.png" for n in range(3)
    ]
    rows = outcome.rows("raw_meta")
    assert all(len(str(row)) < 500 for row in rows)
    assert {Path(row["image"]) for row in rows} == set(media)
    assert [row["image"] for row in rows] == [row["dataflow_image"] for row in rows]


def test_binary_columns_and_base64_are_pictures_too(ground: Ground) -> None:
    path = _parquet(ground.source / "a.parquet", [_bytes(c, "JPEG") for c in COLORS])
    assert len(_seen(ground, path)) == 3
    ground.rows(*({"image": b64encode(_bytes(color)).decode()} for color in COLORS))
    assert _seen(ground, str(ground.source / "rows.jsonl")) == [f"4x4 {c}" for c in COLORS]


def test_a_row_without_bytes_is_found_by_its_path(ground: Ground) -> None:
    Image.new("RGB", (4, 4), (0, 0, 255)).save(ground.source / "b.png")
    images = [{"bytes": None, "path": "b.png"}, {"bytes": None, "path": None}]
    outcome = ground.run(
        step("Look"), meta_path=_parquet(ground.source / "a.parquet", images, n=[1, 2])
    )
    assert [row.get("text") for row in outcome.rows()] == ["4x4 (0, 0, 255)", None]
    assert outcome.tally("captions").skipped == 1


def test_bytes_that_are_no_picture_cost_their_row_in_few_words(ground: Ground) -> None:
    images = [
        {"bytes": b"x" * 100_000, "path": "a.png"},
        {"bytes": _bytes(COLORS[0]), "path": None},
    ]
    path = _parquet(ground.source / "a.parquet", images)
    outcome = ground.run(step("Look"), meta_path=path)
    assert outcome.kinds("captions") == ["corrupt_picture", None]
    (error,) = outcome.errors()
    assert len(str(error)) < 1000


def test_an_exported_dataset_is_an_input_again(ground: Ground, tmp_path: Path) -> None:
    write(captioned_and_drawn(ground), tmp_path / "cats", "hf")
    outcome = ground.run(
        step("Look"),
        meta_path=str(tmp_path / "cats/data"),
        base_folder=str(tmp_path / "base2"),
        save_folder=str(tmp_path / "out2"),
    )
    assert outcome.errors() == []
    assert len(outcome.rows()) == 4
    assert all(row["text"].startswith("4x4") for row in outcome.rows())
