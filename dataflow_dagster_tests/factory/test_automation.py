from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataflow_dagster.factory.partitions import range_tags, register_shards, shard_keys
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, text_rows, write_rows
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")


def _due(of: PipelineSpec, instance: dg.DagsterInstance) -> list[dict[str, str]]:
    """The tags of the runs that the schedule asks for."""
    repository = pipeline_definitions(of).get_repository_def()
    context = dg.build_schedule_context(
        instance, scheduled_execution_time=datetime(2026, 1, 1), repository_def=repository
    )
    told = repository.get_schedule_def("demo_schedule").evaluate_tick(context)
    return [
        {tag: value for tag, value in dict(run.tags).items() if "range" in tag}
        for run in told.run_requests or []
    ]


def test_a_schedule_runs_all_rows_at_its_times(
    tmp_path: Path, stored_instance: dg.DagsterInstance
) -> None:
    keys: dict[str, Any] = {"schedule": "0 2 * * *", "timezone": "Europe/Berlin"}
    of = pipeline(tmp_path, [SHOUT], **keys)
    assert _due(of, stored_instance) == [{}]
    schedule = pipeline_definitions(of).get_repository_def().get_schedule_def("demo_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 2 * * *", "Europe/Berlin")
    split = pipeline(tmp_path, [SHOUT], shards=3, shards_per_run=2, **keys)
    names = shard_keys(split)
    assert _due(split, stored_instance) == [range_tags(names[:2]), range_tags(names[2:])]


def test_a_schedule_takes_new_files_in_and_leaves_done_ones(
    tmp_path: Path, stored_instance: dg.DagsterInstance
) -> None:
    write_rows(tmp_path / "in/b.jsonl", text_rows(1))
    keys: dict[str, Any] = {"meta_path": str(tmp_path / "in"), "files_per_shard": 1}
    of = pipeline(tmp_path, [SHOUT], schedule="@daily", **keys)
    register_shards(of, stored_instance)
    assert materialize(of, instance=stored_instance, partition_key="00000-b").success
    assert _due(of, stored_instance) == []
    write_rows(tmp_path / "in/a.jsonl", text_rows(1))
    assert _due(of, stored_instance) == [range_tags(["00001-a"])]


def test_a_schedule_begins_nothing_while_an_earlier_run_of_it_is_at_work(
    tmp_path: Path, stored_instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], schedule="@daily")
    for status, due in (
        (dg.DagsterRunStatus.FAILURE, [{}]),
        (dg.DagsterRunStatus.STARTED, []),
    ):
        tags = {"dagster/schedule_name": "demo_schedule"}
        stored_instance.add_run(dg.DagsterRun("demo_pipeline", status=status, tags=tags))
        assert _due(of, stored_instance) == due


@pytest.mark.parametrize(
    ("job", "assets", "due"),
    [
        ("demo_pipeline", None, []),
        ("__ASSET_JOB", {"demo/results", "mine"}, []),
        ("__ASSET_JOB", {"other/results"}, [{}]),
        ("other_pipeline", None, [{}]),
    ],
)
def test_a_schedule_sees_whatever_run_is_at_work_on_its_assets(
    tmp_path: Path,
    stored_instance: dg.DagsterInstance,
    job: str,
    assets: set[str] | None,
    due: list[dict[str, str]],
) -> None:
    of = pipeline(tmp_path, [SHOUT], schedule="@daily")
    selection = assets and {dg.AssetKey.from_user_string(asset) for asset in assets}
    status = dg.DagsterRunStatus.STARTED
    stored_instance.add_run(dg.DagsterRun(job, status=status, asset_selection=selection))
    assert _due(of, stored_instance) == due


def test_a_schedule_takes_shards_of_files_again_where_the_yaml_has_changed(
    tmp_path: Path, stored_instance: dg.DagsterInstance
) -> None:
    for name in "ab":
        write_rows(tmp_path / f"in/{name}.jsonl", [{"id": name, "text": name}])
    keys: dict[str, Any] = {
        "meta_path": str(tmp_path / "in"),
        "files_per_shard": 1,
        "schedule": "@daily",
    }
    of = pipeline(tmp_path, [SHOUT], **keys)
    register_shards(of, stored_instance)
    names = shard_keys(of)
    assert materialize(of, instance=stored_instance, keys=names).success
    assert _due(of, stored_instance) == []
    edited = pipeline(tmp_path, [SHOUT], seed=9, **keys)
    assert _due(edited, stored_instance) == [range_tags(names)]
    assert materialize(edited, instance=stored_instance, partition_key=names[0]).success
    assert _due(edited, stored_instance) == [range_tags(names[1:])]
    assert _due(pipeline(tmp_path, [SHOUT], max_failed=0.5, **keys), stored_instance) == [
        range_tags(names[:1])
    ]


def test_eager_assets_follow_what_lies_above_them(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], automation="eager")
    definitions = pipeline_definitions(of)
    first = dg.evaluate_automation_conditions(definitions, instance)
    assert materialize(of, instance=instance).success
    second = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    write_rows(tmp_path / "demo/in.jsonl", text_rows(9))
    assert materialize(of, instance=instance, assets=["raw_meta"]).success
    third = dg.evaluate_automation_conditions(definitions, instance, cursor=second.cursor)
    asked = {
        asset: third.get_num_requested(dg.AssetKey(["demo", asset]))
        for asset in ("raw_meta", "texts", "results")
    }
    assert asked == {"raw_meta": 0, "texts": 1, "results": 1}


@pytest.mark.parametrize(("keys", "each"), [({}, 1), ({"shards": 3}, 3)])
def test_on_cron_asks_for_all_assets_once_at_its_times(
    tmp_path: Path, instance: dg.DagsterInstance, keys: dict[str, int], each: int
) -> None:
    of = pipeline(
        tmp_path, [SHOUT], automation={"on_cron": "0 2 * * *"}, timezone="Europe/Berlin", **keys
    )
    definitions = pipeline_definitions(of)
    cursor, asked = None, list[int]()
    for hour, minute in ((0, 30), (0, 59), (1, 1), (1, 2)):  # 1:00 UTC is 2:00 in a winter's Berlin
        told = dg.evaluate_automation_conditions(
            definitions,
            instance,
            cursor=cursor,
            evaluation_time=datetime(2026, 1, 5, hour, minute, tzinfo=UTC),
        )
        cursor = told.cursor
        asked.append(told.total_requested)
    assert asked == [0, 0, 3 * each, 0]


def test_eager_shards_follow_theirs_alone(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    of = pipeline(tmp_path, [SHOUT], automation="eager", shards=3, rows=text_rows(6))
    definitions = pipeline_definitions(of)
    first = dg.evaluate_automation_conditions(definitions, instance)
    assert materialize(of, instance=instance, shards=(0, 2)).success
    second = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    one = shard_keys(of)[1]
    assert materialize(of, instance=instance, partition_key=one, assets=["raw_meta"]).success
    third = dg.evaluate_automation_conditions(definitions, instance, cursor=second.cursor)
    texts = dg.AssetKey(["demo", "texts"])
    assert third.get_requested_partitions(texts) == {one}


def test_what_was_asked_for_is_on_and_nothing_else_is_there(tmp_path: Path) -> None:
    plain = pipeline_definitions(pipeline(tmp_path, [SHOUT])).get_repository_def()
    assert (list(plain.sensor_defs), list(plain.schedule_defs)) == ([], [])
    of = pipeline(tmp_path, [SHOUT], automation={"on_cron": "@daily"}, watch=5, schedule="@hourly")
    repository = pipeline_definitions(of).get_repository_def()
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert sensors == {
        "demo_watch": dg.DefaultSensorStatus.RUNNING,
        "demo_automation": dg.DefaultSensorStatus.RUNNING,
    }
    (schedule,) = repository.schedule_defs
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    for key in repository.asset_graph.materializable_asset_keys:
        assert repository.asset_graph.get(key).automation_condition is not None


def test_eager_assets_take_shards_of_files_that_come_later(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_rows(tmp_path / "in/a.jsonl", text_rows(1))
    keys: dict[str, Any] = {"meta_path": str(tmp_path / "in"), "files_per_shard": 1}
    of = pipeline(tmp_path, [SHOUT], automation="eager", **keys)
    definitions = pipeline_definitions(of)
    register_shards(of, instance)
    first = dg.evaluate_automation_conditions(definitions, instance)
    write_rows(tmp_path / "in/b.jsonl", text_rows(1))
    register_shards(of, instance)
    second = dg.evaluate_automation_conditions(definitions, instance, cursor=first.cursor)
    for asset in ("raw_meta", "texts", "results"):
        key = dg.AssetKey(["demo", asset])
        assert second.get_requested_partitions(key) == {"00001-b"}


def test_on_cron_asks_for_every_shard_of_files(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    for name in "ab":
        write_rows(tmp_path / f"in/{name}.jsonl", text_rows(1))
    keys: dict[str, Any] = {"meta_path": str(tmp_path / "in"), "files_per_shard": 1}
    of = pipeline(tmp_path, [SHOUT], automation={"on_cron": "0 2 * * *"}, **keys)
    register_shards(of, instance)
    cursor, asked = None, list[int]()
    for hour in (1, 3, 4):
        at = datetime(2026, 1, 5, hour, tzinfo=UTC)
        told = dg.evaluate_automation_conditions(
            pipeline_definitions(of), instance, cursor=cursor, evaluation_time=at
        )
        cursor = told.cursor
        asked.append(told.total_requested)
    assert asked == [0, 3 * 2, 0]
