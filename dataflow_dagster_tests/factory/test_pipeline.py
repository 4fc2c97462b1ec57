from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.keys import asset_keys, job_name
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline

pytestmark = pytest.mark.usefixtures("toys")


def test_a_pipelines_job_takes_all_its_assets(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], name="mine")
    definitions = pipeline_definitions(of)
    dg.Definitions.validate_loadable(definitions)
    assert job_name(of) == "mine_pipeline"
    names = {node.name for node in definitions.resolve_job_def("mine_pipeline").nodes}
    assert names == {"mine__raw_meta", "mine__texts", "mine__results"}


def test_several_pipelines_merge_in_either_format(tmp_path: Path) -> None:
    first = pipeline(tmp_path, [SHOUT], name="first", shards=2)
    second = pipeline(tmp_path, [SHOUT], name="second", format="parquet")
    merged = dg.Definitions.merge(pipeline_definitions(first), pipeline_definitions(second))
    dg.Definitions.validate_loadable(merged)
    assert {job.name for job in merged.resolve_all_job_defs()} >= {
        "first_pipeline",
        "second_pipeline",
    }


def test_a_users_asset_in_the_pipelines_group_is_no_part_of_its_job(tmp_path: Path) -> None:
    @dg.asset(
        group_name="demo",
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
        automation_condition=dg.AutomationCondition.eager(),
    )
    def mine() -> None: ...

    of = pipeline(tmp_path, [SHOUT], shards=2, automation="eager")
    merged = dg.Definitions.merge(pipeline_definitions(of), dg.Definitions(assets=[mine]))
    dg.Definitions.validate_loadable(merged)
    job = merged.resolve_job_def("demo_pipeline")
    assert {node.name for node in job.nodes} == {"demo__raw_meta", "demo__texts", "demo__results"}
    sensor = merged.resolve_sensor_def("demo_automation")
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    graph = merged.resolve_asset_graph()
    assert sensor.asset_selection.resolve(graph) == set(asset_keys(of))
