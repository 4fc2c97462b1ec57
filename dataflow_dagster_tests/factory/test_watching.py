import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataflow_dagster.factory.partitions import range_tags
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.factory.watching import ATTEMPTS
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.shards.files import Listing
from dataflow_dagster.steps.file_input import catalogue_of
from dataflow_dagster_tests.toys.pipelines import (
    SHOUT,
    pipeline,
    read_rows,
    text_rows,
    with_config,
    write_rows,
)

pytestmark = pytest.mark.usefixtures("toys")


class Watched:
    """A pipeline's sensor, looked through again and again as the daemon does."""

    def __init__(self, of: PipelineSpec, instance: dg.DagsterInstance) -> None:
        self.pipeline = of
        self.definitions = pipeline_definitions(of)
        self.instance = instance
        self.cursor: str | None = None

    def look(self) -> Sequence[dg.RunRequest]:
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(
            self.instance, cursor=self.cursor, repository_def=repository
        )
        told = repository.get_sensor_def("demo_watch").evaluate_tick(context)
        self.cursor = told.cursor
        self.said = told.skip_message
        return told.run_requests or []

    def settle(self) -> Sequence[dg.RunRequest]:
        """Look twice: what is there and does not change is run."""
        assert self.look() == []
        return self.look()

    def begin(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
        """A run of this request as it stands in the instance; none is really executed."""
        job = self.definitions.resolve_job_def("demo_pipeline")
        self.instance.create_run_for_job(job, tags=dict(request.tags), status=status)

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def("demo_pipeline")
        return job.execute_in_process(
            instance=self.instance, tags=dict(request.tags), raise_on_error=False
        )


def _files(tmp_path: Path, *names: str) -> None:
    for name in names:
        write_rows(tmp_path / f"in/{name}.jsonl", [{"id": name, "text": name}])


def _watched(tmp_path: Path, instance: dg.DagsterInstance, **keys: Any) -> Watched:
    said = {"meta_path": str(tmp_path / "in"), "files_per_shard": 1, "watch": 60, **keys}
    return Watched(pipeline(tmp_path, [SHOUT], **said), instance)


def test_new_files_become_partitions_and_one_ranged_run(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a", "b", "c")
    watched = _watched(tmp_path, instance)
    (request,) = watched.settle()
    keys = ["00000-a", "00001-b", "00002-c"]
    assert instance.get_dynamic_partitions("demo_files") == keys
    assert range_tags(keys).items() <= dict(request.tags).items()
    assert watched.run(request).success
    assert watched.look() == []
    assert instance.get_materialized_partitions(dg.AssetKey(["demo", "results"])) == set(keys)

    _files(tmp_path, "aa")
    (request,) = watched.settle()
    assert range_tags(["00003-aa"]).items() <= dict(request.tags).items()
    assert watched.run(request).success
    assert [read_rows(f)[0]["text"] for f in sorted((tmp_path / "demo/out/result").glob("*l"))] == [
        *("A", "B", "C", "AA")
    ]


def test_a_file_that_is_still_written_is_left_alone(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "done", "growing")
    watched = _watched(tmp_path, instance)
    assert watched.look() == []
    with (tmp_path / "in/growing.jsonl").open("a") as file:
        file.write('{"id": 2, "text": "more"}\n')
    (request,) = watched.look()
    assert instance.get_dynamic_partitions("demo_files") == ["00000-done"]
    assert watched.run(request).success
    (request,) = watched.look()
    assert dict(request.tags)["dagster/asset_partition_range_end"] == "00001-growing"


def test_files_of_long_ago_need_no_second_look(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "old")
    os.utime(tmp_path / "in/old.jsonl", (1, time.time() - 9999))
    assert len(_watched(tmp_path, instance).look()) == 1


def test_a_changed_file_is_run_again_and_no_other(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a", "b", "c")
    watched = _watched(tmp_path, instance)
    assert watched.run(watched.settle()[0]).success
    write_rows(tmp_path / "in/b.jsonl", text_rows(3))
    (request,) = watched.settle()
    assert range_tags(["00001-b"]).items() <= dict(request.tags).items()
    assert watched.run(request).success
    assert watched.settle() == []


def test_files_that_come_while_a_run_is_at_work_wait_for_the_next(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a")
    watched = _watched(tmp_path, instance)
    (request,) = watched.settle()
    watched.begin(request, dg.DagsterRunStatus.STARTED)
    _files(tmp_path, "b", "c")
    assert watched.settle() == []
    assert watched.said == "1 runs are at work"
    assert instance.get_dynamic_partitions("demo_files") == ["00000-a", "00001-b", "00002-c"]
    (run,) = instance.get_runs()
    instance.report_run_canceled(run)
    (request,) = watched.look()
    assert range_tags(["00001-b", "00002-c"]).items() <= dict(request.tags).items()


def test_a_sensor_waits_for_whatever_run_is_at_work_on_its_assets(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a", "b")
    watched = _watched(tmp_path, instance, shards_per_run=1)
    scheduled = dg.DagsterRun("demo_pipeline", status=dg.DagsterRunStatus.STARTED)
    instance.add_run(scheduled)
    assert watched.settle() == []
    assert watched.said == "1 other runs are at work on these assets"
    instance.report_run_canceled(scheduled)
    first, second = watched.look()
    watched.begin(first, dg.DagsterRunStatus.SUCCESS)
    watched.begin(second, dg.DagsterRunStatus.FAILURE)
    by_hand = dg.DagsterRun(
        "__ASSET_JOB",
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({dg.AssetKey(["demo", "texts"])}),
    )
    instance.add_run(by_hand)
    assert watched.look() == []
    instance.report_run_canceled(by_hand)
    assert [request.tags for request in watched.look()] == [second.tags]


def test_a_failed_run_is_begun_again_a_few_times_and_a_changed_file_begins_anew(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a", "b", "c")
    watched = _watched(tmp_path, instance, shards_per_run=2)
    begun = [*watched.settle()]
    assert len(begun) == 2
    watched.begin(begun[1], dg.DagsterRunStatus.SUCCESS)
    requests = [begun[0]]
    keys = {request.run_key for request in begun}
    for _ in range(ATTEMPTS - 1):
        watched.begin(requests[0], dg.DagsterRunStatus.FAILURE)
        requests = [*watched.look()]
        assert len(requests) == 1
        assert dict(requests[0].tags) == dict(begun[0].tags)
        keys.add(requests[0].run_key)
    assert len(keys) == 2 + ATTEMPTS - 1
    watched.begin(requests[0], dg.DagsterRunStatus.FAILURE)
    assert watched.settle() == []
    write_rows(tmp_path / "in/a.jsonl", text_rows(2))
    (request,) = watched.settle()
    assert range_tags(["00000-a"]).items() <= dict(request.tags).items()


def test_a_look_whose_run_was_never_begun_is_made_up_for(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a")
    watched = _watched(tmp_path, instance)
    (lost,) = watched.settle()
    (again,) = watched.look()
    assert (again.run_key, again.tags) == (lost.run_key, lost.tags)


@pytest.mark.parametrize("keys", [{}, {"shards": 2}])
def test_a_file_without_shards_of_its_own_is_one_run_when_it_changes(
    tmp_path: Path, instance: dg.DagsterInstance, keys: dict[str, int]
) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=text_rows(4), watch=60, **keys)
    watched = Watched(of, instance)
    (request,) = watched.settle()
    assert watched.run(request).success
    assert watched.settle() == []
    write_rows(tmp_path / "demo/in.jsonl", text_rows(6))
    (request,) = watched.settle()
    assert watched.run(request).success
    assert watched.settle() == []
    results = (tmp_path / "demo/out").rglob("*.jsonl")
    assert sum(len(read_rows(path)) for path in results) == 6


def test_nothing_there_is_said_and_loses_nothing(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    watched = _watched(tmp_path, instance)
    assert watched.look() == []
    assert "there is no such file or folder" in str(watched.said)
    _files(tmp_path, "a")
    assert len(watched.settle()) == 1


def test_a_users_hook_and_status_sensor_work_on_a_run_of_the_job(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    heard: list[str] = []

    @dg.failure_hook
    def tell(context: dg.HookContext) -> None:
        heard.append(context.op.name)

    @dg.run_failure_sensor
    def told(context: dg.RunFailureSensorContext) -> None:
        heard.append(context.dagster_run.job_name)

    of = pipeline(tmp_path, [with_config(SHOUT)], meta_path=str(tmp_path / "gone"))
    job = pipeline_definitions(of).resolve_job_def("demo_pipeline").with_hooks({tell})
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    event = result.get_run_failure_event()
    told(
        dg.build_run_status_sensor_context(
            "told", event, instance, result.dagster_run
        ).for_run_failure()
    )
    assert heard == ["demo__raw_meta", "demo_pipeline"]


@pytest.fixture
def many(tmp_path: Path) -> int:
    """Files of long ago, too many to be written as one test's rows."""
    (tmp_path / "in").mkdir()
    for number in range(10_000):
        path = tmp_path / f"in/shard-of-pictures-{number:06d}.jsonl"
        path.write_bytes(b'{"id": 1}\n')
    return 10_000


@pytest.mark.full
def test_ten_thousand_files_leave_a_small_cursor_and_are_looked_at_once_each(
    tmp_path: Path, instance: dg.DagsterInstance, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamped: list[str] = []

    def counted(listing: Listing, name: str) -> str:
        stamped.append(name)
        return stamp(listing, name)

    stamp = Listing.stamp
    monkeypatch.setattr(Listing, "stamp", counted)
    watched = _watched(tmp_path, instance, shards_per_run=1)
    assert watched.look() == []
    assert len(watched.cursor or "") < 100
    assert len(watched.look()) == many
    watched.look()
    assert len(watched.cursor or "") < 100
    assert len(stamped) == 3 * many


def test_a_cursor_of_an_earlier_version_is_understood(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a", "b")
    watched = _watched(tmp_path, instance)
    (request,) = watched.settle()
    watched.begin(request, dg.DagsterRunStatus.STARTED)
    memory = catalogue_of(watched.pipeline).memory()
    catalogue_of(watched.pipeline).remember(b"{}")
    watched.cursor = memory.decode()
    assert watched.look() == []
    assert watched.said == "1 runs are at work"
    assert catalogue_of(watched.pipeline).memory() == memory
    assert len(watched.cursor or "") < 100


def test_a_look_that_died_before_its_cursor_was_kept_asks_for_the_same_runs(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a", "b")
    watched = _watched(tmp_path, instance)
    assert watched.look() == []
    before = watched.cursor
    (first,) = watched.look()
    watched.cursor = before
    (again,) = watched.look()
    assert (again.run_key, again.tags) == (first.run_key, first.tags)


def test_a_cursor_that_was_reset_begins_nothing_twice(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    _files(tmp_path, "a")
    watched = _watched(tmp_path, instance)
    assert watched.run(watched.settle()[0]).success
    assert watched.look() == []
    watched.cursor = None
    assert watched.settle() == []
