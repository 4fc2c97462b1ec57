from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dataflow_dagster.factory.partitions import register_shards, shard_keys
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS
from dataflow_dagster_tests.toys.pipelines import (
    NAME,
    PAINT,
    SHOUT,
    picture_rows,
    pipeline,
    text_rows,
    with_config,
    write_rows,
)
from dataflow_dagster_tests.toys.runs import materialize, told

pytestmark = pytest.mark.usefixtures("toys")
ASSETS = ("raw_meta", "texts", "results")


def _stale(of: PipelineSpec, instance: dg.DagsterInstance) -> set[str]:
    """``texts 1`` for each partition that the UI would call out of date."""
    graph = pipeline_definitions(of).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    keys: list[str | None] = [*shard_keys(of)] or [None]
    return {
        f"{asset} {key[4] if key else ''}".strip()
        for asset in [RAW_META, *(step.asset for step in of.steps), RESULTS]
        for key in keys
        if resolver.get_status(dg.AssetKey(["demo", asset]), key) != StaleStatus.FRESH
    }


def _versions(instance: dg.DagsterInstance, asset: str) -> list[str]:
    key = dg.AssetKey(["demo", asset])
    versions: list[str] = []
    for shard in range(3):
        record = instance.get_latest_data_version_record(key, partition_key=f"0000{shard}-of-00003")
        assert record is not None
        assert record.asset_materialization is not None
        versions.append((record.asset_materialization.tags or {})["dagster/data_version"])
    return versions


def test_a_run_of_several_shards_records_each_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    assert materialize(of, instance=instance, shards=(0, 2)).success
    for asset in ASSETS:
        records = instance.fetch_materializations(dg.AssetKey(["demo", asset]), limit=99).records
        assert len(records) == 3
    assert _stale(of, instance) == set()


def test_the_same_rows_again_leave_all_up_to_date(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2))
    before = _versions(instance, "texts")
    materialize(of, instance=instance, shards=(0, 2), assets=["raw_meta", "texts"])
    assert _versions(instance, "texts") == before
    assert _stale(of, instance) == set()


def test_other_rows_make_what_lies_below_out_of_date(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2))
    changed = [{**row, "text": "other"} for row in text_rows(6)]
    write_rows(tmp_path / "demo/in.jsonl", changed)
    materialize(of, instance=instance, shards=(0, 2), assets=["raw_meta"])
    assert _stale(of, instance) == {"texts 0", "texts 1", "texts 2"}
    materialize(of, instance=instance, shards=(0, 2), assets=["texts", "results"])
    assert _stale(of, instance) == set()


def test_one_shard_taken_alone_is_up_to_date_all_the_way(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2))
    materialize(of, instance=instance, partition_key="00001-of-00003")
    assert _stale(of, instance) == set()


def test_an_edited_model_makes_its_step_and_all_below_out_of_date(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2))
    edited = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6), seed=7)
    stale = {f"{asset} {shard}" for asset in ("texts", "results") for shard in range(3)}
    assert _stale(edited, instance) == stale


def test_shards_that_a_dying_run_left_are_up_to_date(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2), assets=["raw_meta"])
    third = tmp_path / "demo/base/step_0_preprocess_format/result/00002-of-00003.jsonl"
    third.write_text("no rows\n")
    assert not materialize(of, instance=instance, shards=(0, 2), assets=["texts"]).success
    assert {name for name in _stale(of, instance) if "texts" in name} == {"texts 2"}


def test_appended_rows_change_the_last_shard_alone(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2))
    write_rows(tmp_path / "demo/in.jsonl", text_rows(8))
    materialize(of, instance=instance, shards=(0, 2), assets=["raw_meta"])
    assert _stale(of, instance) == {"texts 2"}
    materialize(of, instance=instance, shards=(0, 2), assets=["texts", "results"])
    assert _stale(of, instance) == set()


def test_one_shard_made_again_alone_with_the_same_rows_changes_nothing_below(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    materialize(of, instance=instance, shards=(0, 2))
    assert materialize(
        of, instance=instance, partition_key="00001-of-00003", assets=["raw_meta"]
    ).success
    assert _stale(of, instance) == set()


def test_a_check_that_stops_the_run_leaves_each_shard_its_own_version(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    rows = [*text_rows(5), {"id": "x", "text": "bad"}]
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=rows, max_failed=0.0)
    assert not materialize(of, instance=instance, shards=(0, 2)).success
    assert len(set(_versions(instance, "texts"))) == 3


def _two_steps(tmp_path: Path, prompt: str, **keys: Any) -> PipelineSpec:
    folder = tmp_path / "in"
    step = with_config(NAME, prompt=prompt, batch_size=keys.pop("batch_size", 1))
    paint = {**PAINT, "resources": keys.pop("resources", {})}
    return pipeline(
        tmp_path, [step, paint], rows=picture_rows(folder, 6), meta_folder=str(folder), **keys
    )


@pytest.mark.parametrize("keys", [{}, {"shards": 3}])
def test_an_edited_prompt_changes_its_step_and_all_below_and_batches_and_gpus_nothing(
    tmp_path: Path, instance: dg.DagsterInstance, keys: dict[str, int]
) -> None:
    shards = (0, 2) if keys else None
    of = _two_steps(tmp_path, "a {color}", **keys)
    materialize(of, instance=instance, shards=shards)
    assert _stale(of, instance) == set()
    same = _two_steps(tmp_path, "a {color}", batch_size=4, resources={"gpus": 0}, **keys)
    assert _stale(same, instance) == set()
    edited = _two_steps(tmp_path, "the {color}", **keys)
    below = {"captions", "generated_images", "results"}
    assert {name.split()[0] for name in _stale(edited, instance)} == below
    assert len(_stale(edited, instance)) == 3 * (3 if keys else 1)
    again = materialize(edited, instance=instance, shards=shards, assets=sorted(below))
    assert told(again, "demo", "captions")["computed"] == (2 if keys else 6)
    assert _stale(edited, instance) == set()


def test_shards_of_files_are_out_of_date_one_by_one(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    for name in "ab":
        write_rows(tmp_path / f"in/{name}.jsonl", [{"id": name, "text": name}])
    of = pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "in"), files_per_shard=1)
    register_shards(of, instance)
    keys = shard_keys(of)
    assert materialize(of, instance=instance, keys=keys).success
    assert _stale(of, instance) == set()
    write_rows(tmp_path / "in/b.jsonl", [{"id": "b", "text": "other"}])
    assert materialize(of, instance=instance, keys=keys, assets=["raw_meta"]).success
    assert _stale(of, instance) == {"texts 1"}
    again = materialize(of, instance=instance, keys=keys, assets=["texts", "results"])
    assert _stale(of, instance) == set()
    assert told(again, "demo", "texts")["computed"] == 1


def test_rows_in_another_format_or_folder_are_out_of_date_where_they_are_missing(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=text_rows(4))
    assert materialize(of, instance=instance).success
    elsewhere = {key: str(tmp_path / "elsewhere") for key in ("base_folder", "save_folder")}
    for changed, stale in (
        ({"format": "parquet"}, {"raw_meta", "texts", "results"}),
        ({"save_folder": elsewhere["save_folder"]}, {"results"}),
        ({"base_folder": elsewhere["base_folder"]}, {"raw_meta", "texts"}),
        ({"save_folder": f"{tmp_path}/demo/out/"}, set()),
        ({"max_failed": 0.5}, set()),
    ):
        assert _stale(pipeline(tmp_path, [SHOUT], rows=text_rows(4), **changed), instance) == stale


def test_another_format_is_made_of_the_answers_that_are_there(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=text_rows(4))
    assert materialize(of, instance=instance).success
    of = pipeline(tmp_path, [SHOUT], rows=text_rows(4), format="parquet")
    assert "texts" in _stale(of, instance)
    again = materialize(of, instance=instance)
    assert told(again, "demo", "texts")["reused"] == 4
    assert _stale(of, instance) == set()
