from pathlib import Path

import pytest

from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout, meta_folder
from dataflow_dagster_tests.steps.driving import Ground, step


def test_assets_lie_where_the_reference_system_puts_them(ground: Ground) -> None:
    pipeline = ground.pipeline(step("Look"), step("Paint"))
    layout, base, out = Layout(pipeline), ground.folder / "base", ground.folder / "out"
    assert layout.shard(RAW_META).path == base / "step_0_preprocess_format/result.jsonl"
    assert layout.shard("captions").path == base / "step_1_Probe_Look/result.jsonl"
    assert layout.folder("generated_images") == base / "step_2_Probe_Paint"
    assert layout.shard(RESULTS).path == out / "result.jsonl"
    assert layout.errors() == out / "errors.jsonl"


def test_partitions_are_files_of_their_own(ground: Ground) -> None:
    layout = Layout(ground.pipeline(step("Look"), format="parquet"))
    shard = layout.shard(RESULTS, "00001-of-00002")
    assert shard.path == ground.folder / "out/result/00001-of-00002.parquet"
    assert layout.errors("00001-of-00002") == ground.folder / "out/errors/00001-of-00002.jsonl"


@pytest.mark.parametrize(
    ("meta_path", "folder"),
    [
        ("rows.jsonl", ""),
        ("", ""),
        ("*.jsonl", ""),
        ("*/rows.jsonl", ""),
        ("deep/**/*.jsonl", "deep"),
        ("odd[1]/rows.jsonl", "odd[1]"),
        ("none.jsonl", ""),
    ],
)
def test_relative_media_are_below_the_folder_of_the_rows(
    ground: Ground, meta_path: str, folder: str
) -> None:
    (ground.source / "odd[1]").mkdir()
    (ground.source / "odd[1]/rows.jsonl").touch()
    pipeline = ground.pipeline(step("Look"), meta_path=str(ground.source / meta_path))
    assert meta_folder(pipeline) == ground.source / folder


def test_a_meta_folder_that_is_named_wins(ground: Ground) -> None:
    assert meta_folder(ground.pipeline(step("Look"), meta_folder="some/where")) == Path(
        "some/where"
    )
