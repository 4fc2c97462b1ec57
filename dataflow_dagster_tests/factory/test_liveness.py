import os
import socket
import subprocess
import time
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory import liveness
from dataflow_dagster.factory.liveness import PROCESS_TAG, SILENT_S, runs_at_work, this_machine
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.factory.test_watching import Watched
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, write_rows
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def of(tmp_path: Path) -> PipelineSpec:
    return pipeline(tmp_path, [SHOUT])


def _begun(instance: dg.DagsterInstance, tag: str | None) -> dg.DagsterRun:
    run = instance.add_run(dg.DagsterRun("demo_pipeline", status=STARTED))
    if tag is not None:
        instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{run.run_id} {tag}"})
    return run


def test_a_run_is_tagged_with_its_process(of: PipelineSpec, instance: dg.DagsterInstance) -> None:
    assert materialize(of, instance=instance).success
    (run,) = instance.get_runs()
    run_id, machine, process, began = run.tags[PROCESS_TAG].split()
    assert (run_id, machine, process) == (run.run_id, this_machine(), str(os.getpid()))
    assert began.isdecimal()


def test_a_run_whose_process_is_gone_is_told_as_failed_and_is_not_at_work(
    of: PipelineSpec, instance: dg.DagsterInstance
) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    run = _begun(instance, f"{this_machine()} {ended.pid} 1234")
    assert runs_at_work(of, instance) == []
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.FAILURE
    said = [event.message for event in instance.all_logs(run.run_id)]
    assert any(f"process {ended.pid} on {socket.gethostname()} is gone" in line for line in said)


def test_another_process_of_the_same_number_is_not_taken_for_the_run(
    of: PipelineSpec, instance: dg.DagsterInstance
) -> None:
    _begun(instance, f"{this_machine()} {os.getpid()} 1")
    assert runs_at_work(of, instance) == []


def test_a_run_at_work_stays_so_however_long_it_says_nothing(
    of: PipelineSpec, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert materialize(of, instance=instance).success
    tag = instance.get_runs()[0].tags[PROCESS_TAG]
    run = _begun(instance, tag.partition(" ")[2])
    now = time.time()
    monkeypatch.setattr(liveness.time, "time", lambda: now + 10 * SILENT_S)
    assert [at_work.run_id for at_work in runs_at_work(of, instance)] == [run.run_id]


def test_a_run_that_is_begun_again_is_not_taken_for_the_one_it_repeats(
    of: PipelineSpec, instance: dg.DagsterInstance
) -> None:
    tags = {PROCESS_TAG: f"an-earlier-run {this_machine()} {os.getpid()} 1"}
    run = instance.add_run(dg.DagsterRun("demo_pipeline", status=STARTED, tags=tags))
    assert [at_work.run_id for at_work in runs_at_work(of, instance)] == [run.run_id]


@pytest.mark.parametrize("tag", [None, "elsewhere 7 1234"])
def test_a_run_elsewhere_is_at_work_until_it_says_nothing_for_hours(
    of: PipelineSpec,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    tag: str | None,
) -> None:
    run = _begun(instance, tag)
    now = time.time()
    assert len(runs_at_work(of, instance)) == 1
    monkeypatch.setattr(liveness.time, "time", lambda: now + SILENT_S + 60)
    assert runs_at_work(of, instance) == []
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == STARTED


def test_a_watched_folder_goes_on_after_a_power_cut(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_rows(tmp_path / "in/a.jsonl", [{"id": "a", "text": "a"}])
    watched = Watched(
        pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "in"), files_per_shard=1, watch=60),
        instance,
    )
    (request,) = watched.settle()
    watched.begin(request, STARTED)
    (run,) = instance.get_runs()
    tag = f"{run.run_id} {this_machine()} {os.getpid()} 1"
    instance.add_run_tags(run.run_id, {PROCESS_TAG: tag})
    (again,) = watched.look()
    assert again.run_key != request.run_key
    assert watched.run(again).success
    assert watched.look() == []


def test_the_schedule_goes_on_after_a_power_cut(
    tmp_path: Path, stored_instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], schedule="@daily")
    _begun(stored_instance, f"{this_machine()} {os.getpid()} 1")
    repository = pipeline_definitions(of).get_repository_def()
    context = dg.build_schedule_context(
        stored_instance, scheduled_execution_time=datetime(2026, 1, 1), repository_def=repository
    )
    told = repository.get_schedule_def("demo_schedule").evaluate_tick(context)
    assert len(told.run_requests or []) == 1
