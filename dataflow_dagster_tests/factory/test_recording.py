from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, text_rows, write_rows
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
ASSETS = ("raw_meta", "texts", "results")


def _stale(of: PipelineSpec, instance: dg.DagsterInstance) -> set[str]:
    """``texts 1`` for each partition that the UI would call out of date."""
    graph = pipeline_definitions(of).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    keys = [f"0000{shard}-of-00003" for shard in range(3)]
    return {
        f"{asset} {key[4]}"
        for asset in ASSETS
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


def test_a_run_of_several_shards_records_each_at_once_and_at_the_end(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(6))
    assert materialize(of, instance=instance, shards=(0, 2)).success
    for asset in ASSETS:
        records = instance.fetch_materializations(dg.AssetKey(["demo", asset]), limit=99).records
        assert len(records) == 6
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
