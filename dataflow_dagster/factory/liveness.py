"""Which runs are at work on a pipeline, whoever began them, and which only look as if they were.

A machine that loses its power leaves runs that Dagster shows as started for good: its run
monitoring looks after runs in pods and containers, not after processes that it began itself.
"""

import multiprocessing
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import dagster as dg

from dataflow_dagster.factory.keys import asset_keys, job_name
from dataflow_dagster.factory.processes import STEP_VARIABLE
from dataflow_dagster.schema.pipeline import PipelineSpec

ENDED: Final = frozenset(
    {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
)
_UNFINISHED: Final = list(frozenset(dg.DagsterRunStatus) - ENDED)
_BEGUN: Final = frozenset(
    {dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING}
)

PROCESS_TAG: Final = "dataflow_dagster/process"
"""Tag of a run: its id, since a run that is begun again inherits tags, then machine, process and
when that began, in the machine's own count."""

SILENT_S: Final = 6 * 3600.0
"""A run elsewhere without an event for so long is taken for dead; a step writes one in 10 min."""


def note_process(context: dg.AssetExecutionContext) -> None:
    """Tag a run with the process that it lives in; of steps on other machines nothing is known."""
    if STEP_VARIABLE in os.environ:
        return
    parent = multiprocessing.parent_process()
    process = os.getpid() if parent is None else parent.pid or os.getpid()
    noted = f"{context.run.run_id} {this_machine()} {process} {_began(process)}"
    if context.run.tags.get(PROCESS_TAG) != noted:
        context.instance.add_run_tags(context.run.run_id, {PROCESS_TAG: noted})


def runs_at_work(pipeline: PipelineSpec, instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Runs on assets of the pipeline that have not ended: by a sensor, a schedule, the UI.

    One whose process is gone from this machine is told to Dagster as failed, so that it gives back
    its place in the queue and in pools.
    """
    records = instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
    ours = [record for record in records if _is_on(pipeline, record.dagster_run)]
    return [record.dagster_run for record in ours if not _is_dead(record, instance)]


def _is_on(pipeline: PipelineSpec, run: dg.DagsterRun) -> bool:
    if run.asset_selection is None:
        return run.job_name == job_name(pipeline)
    return not run.asset_selection.isdisjoint(asset_keys(pipeline))


def _is_dead(record: dg.RunRecord, instance: dg.DagsterInstance) -> bool:
    run = record.dagster_run
    if run.status not in _BEGUN:
        return False
    run_id, machine, process, began = (run.tags.get(PROCESS_TAG, "").split() + [""] * 4)[:4]
    if (run_id, machine) != (run.run_id, this_machine()):
        return time.time() - _last_event(record, instance) > SILENT_S
    if _began(int(process)) == began:
        return False
    host = socket.gethostname()
    said = f"Its process {process} on {host} is gone: the machine was restarted, or it was killed."
    instance.report_run_failed(run, said)
    return True


def _last_event(record: dg.RunRecord, instance: dg.DagsterInstance) -> float:
    """When it wrote an event last, in seconds since 1970."""
    newest = instance.get_records_for_run(
        record.dagster_run.run_id, limit=1, ascending=False
    ).records
    return newest[0].event_log_entry.timestamp if newest else record.create_timestamp.timestamp()


def this_machine() -> str:
    """Where numbers of processes mean what they mean here: a host, or a container of it."""
    try:
        inside = os.readlink("/proc/self/ns/pid")  # noqa: PTH115  # a name, of no file
    except OSError:
        inside = ""
    return f"{socket.gethostname()}/{inside}"


def _began(process: int) -> str:
    """When a process of this machine began; "gone" where there is none of that number."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        return told.rpartition(")")[2].split()[19]  # in ticks since the machine's start
    except OSError:
        return "running" if not Path("/proc/self").exists() and _is_running(process) else "gone"


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
