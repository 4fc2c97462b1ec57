"""Running one pipeline from the shell, through Dagster, each step in a process of its own."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dagster as dg

from dataflow_dagster.cli.retrying import done_shards
from dataflow_dagster.cli.watching import told_folder, watched
from dataflow_dagster.factory.executors import placed
from dataflow_dagster.factory.keys import job_name
from dataflow_dagster.factory.missed import NOT_MADE
from dataflow_dagster.factory.partitions import (
    add_partitions,
    range_tags,
    register_shards,
    shard_keys,
    stretches,
)
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.factory.processes import STEP_PROCESSES, begin_step_server
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run from the shell was asked for.

    Attributes:
        config: The pipeline's YAML.
        limit: Only so many rows, into folders of their own.
        recompute: Answer every row anew.
        retry_failed: Answer only rows that failed.
        partition: Only this shard; None: all.
        partition_range: Only the shards from one to another: ``FIRST...LAST``.
    """

    config: Path
    limit: int | None = None
    recompute: bool = False
    retry_failed: bool = False
    partition: str | None = None
    partition_range: str | None = None

    def pipeline(self) -> PipelineSpec:
        """The pipeline as it is to run."""
        pipeline = placed(load_pipeline(self.config), os.environ)
        return pipeline if self.limit is None else pipeline.limited(self.limit)


_HERE: Final = "DATAFLOW_EXECUTOR=multiprocess runs its steps on this machine"


class UnknownPartitionError(Exception):
    """A shard was asked for that the pipeline does not have; says which it has."""


def run_pipeline(request: RunRequest) -> list[dg.JobExecutionResult]:
    """Run it in a persistent instance where ``DAGSTER_HOME`` names one, else in one of its own.

    New files become shards first. One run takes as many shards as ``shards_per_run`` allows; where
    one fails, those that would follow are not begun, unless all it lacked is files of its own.

    Raises:
        UnknownPartitionError: A shard was asked for that is none.
        InputError: Shards are files, and there are none.
        PipelineError: Shards are files, and a variable of the YAML is not set; or steps run on Ray,
            and ``DAGSTER_HOME`` is not set; or in pods, which a run of the shell cannot begin.
        ClusterUnreachableError: Steps run on Ray, and no cluster takes them.
    """
    pipeline = request.pipeline()
    if pipeline.executor == "k8s":
        told = (
            "runs on Kubernetes begin in the Dagster UI, by a schedule, or by `dagster job launch`"
        )
        raise PipelineError(pipeline.path, [Problem(None, None, "", f"{told}; {_HERE}")])
    with told_folder(pipeline) as progress:  # once: the server of steps keeps its environment
        if pipeline.executor == "multiprocess":
            begin_step_server()
        return _run_all(pipeline, request, progress)


def _run_all(
    pipeline: PipelineSpec, request: RunRequest, progress: Path
) -> list[dg.JobExecutionResult]:
    folder = str(Path.cwd())
    of = {"config": str(request.config.absolute()), "limit": request.limit, "folder": folder}
    job = dg.build_reconstructable_job(__name__, "rebuild_job", reconstructable_kwargs=of)
    run_config = _run_config(pipeline, request)
    results: list[dg.JobExecutionResult] = []
    with _instance(pipeline) as instance:
        runs = _runs(pipeline, request, instance)
        with watched(pipeline, progress):
            for tags in runs:
                results.append(dg.execute_job(job, instance, run_config=run_config, tags=tags))
                if not results[-1].success and not _lacks_files_alone(results[-1]):
                    break
    return results


def _lacks_files_alone(result: dg.JobExecutionResult) -> bool:
    failed = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    told = [failure.user_failure_data for failure in failed]
    return bool(told) and all(one is not None and NOT_MADE in (one.metadata or {}) for one in told)


def _runs(
    pipeline: PipelineSpec, request: RunRequest, instance: dg.DagsterInstance
) -> list[dict[str, str]]:
    """The tags of each run."""
    if pipeline.files_per_shard is not None and request.retry_failed:
        add_partitions(pipeline, instance)
    elif pipeline.files_per_shard is not None:
        register_shards(pipeline, instance)
    keys = shard_keys(pipeline)
    wanted = _wanted(pipeline, keys, request)
    if not pipeline.is_sharded:
        return [{}]
    if not keys:
        raise InputError(pipeline.meta_path, _no_shard(request))
    if request.retry_failed and request.partition is None:
        wanted = done_shards(pipeline, wanted)
    return [range_tags(stretch) for stretch in stretches(pipeline, wanted, keys)]


def _no_shard(request: RunRequest) -> str:
    return (
        "was never run: run it without --retry-failed"
        if request.retry_failed
        else ("holds no file yet")
    )


def _wanted(pipeline: PipelineSpec, keys: list[str], request: RunRequest) -> list[str]:
    first, last = request.partition, request.partition
    if request.partition_range is not None:
        first, _, last = request.partition_range.partition("...")
    if first is None or last is None:
        return keys
    for key in (first, last):
        if key not in keys:
            allowed = f"{keys[0]} to {keys[-1]}" if keys else "none: it is not sharded"
            raise UnknownPartitionError(
                f"'{key}' is no shard of {pipeline.name}; allowed: {allowed}"
            )
    found = keys[keys.index(first) : keys.index(last) + 1]
    if not found:
        raise UnknownPartitionError(f"'{last}' comes before '{first}'")
    return found


def rebuild_job(config: str, limit: int | None, folder: str) -> dg.JobDefinition:
    """The pipeline's job, built anew in each step's process.

    Args:
        config: The pipeline's YAML.
        limit: As in `RunRequest`.
        folder: Where the run was asked for, and where relative paths start: Ray begins processes
            elsewhere.
    """
    os.chdir(folder)
    pipeline = RunRequest(Path(config), limit=limit).pipeline()
    return pipeline_definitions(pipeline).resolve_job_def(job_name(pipeline))


def _run_config(pipeline: PipelineSpec, request: RunRequest) -> dict[str, Any]:
    assets = ["raw_meta", *(step.asset for step in pipeline.steps), "results"]
    on_ray = pipeline.executor == "ray"
    options = {"config": {"recompute": request.recompute, "retry_failed": request.retry_failed}}
    return {
        "ops": {f"{pipeline.name}__{asset}": options for asset in assets},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        "execution": {"config": {} if on_ray else {"multiprocess": STEP_PROCESSES}},
    }


@contextmanager
def _instance(pipeline: PipelineSpec) -> Generator[dg.DagsterInstance]:
    if os.environ.get("DAGSTER_HOME"):
        with _persistent_instance() as instance:
            yield instance
        return
    if pipeline.executor == "ray":
        told = "steps on Ray write their events to the storage of DAGSTER_HOME, which is not set"
        raise PipelineError(pipeline.path, [Problem(None, None, "", told)])
    quiet = {
        "python_logs": {"python_log_level": "CRITICAL"},
        "telemetry": {"enabled": False},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
    }
    with (
        tempfile.TemporaryDirectory(prefix="dataflow_dagster_") as folder,
        dg.DagsterInstance.local_temp(folder, overrides=quiet) as instance,
    ):
        yield instance


def _persistent_instance() -> dg.DagsterInstance:
    """That of ``DAGSTER_HOME``, opened by one process at a time.

    Two that make SQLite's tables in the same empty folder leave a version table of two heads, and
    Dagster never opens it again.
    """
    home = os.open(os.environ["DAGSTER_HOME"], os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(home, fcntl.LOCK_EX)
        return dg.DagsterInstance.get()
    finally:
        os.close(home)
