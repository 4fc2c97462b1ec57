"""Running one pipeline from the shell, through Dagster, each step in a process of its own."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from dataflow_dagster.cli.watching import watched
from dataflow_dagster.factory.partitions import shard_key
from dataflow_dagster.factory.pipeline import job_name, pipeline_definitions
from dataflow_dagster.factory.processes import STEP_PROCESSES
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec

_RANGE = "dagster/asset_partition_range_"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run from the shell was asked for.

    Attributes:
        config: The pipeline's YAML.
        limit: Only so many rows, into folders of their own.
        recompute: Answer every row anew.
        retry_failed: Answer only rows that failed.
        partition: Only this shard; None: all.
    """

    config: Path
    limit: int | None = None
    recompute: bool = False
    retry_failed: bool = False
    partition: str | None = None

    def pipeline(self) -> PipelineSpec:
        """The pipeline as it is to run."""
        pipeline = load_pipeline(self.config)
        return pipeline if self.limit is None else pipeline.limited(self.limit)


def run_pipeline(request: RunRequest) -> dg.JobExecutionResult:
    """Run it in a persistent instance where ``DAGSTER_HOME`` names one, else in one of its own."""
    pipeline = request.pipeline()
    of = {"config": str(request.config.absolute()), "limit": request.limit}
    job = dg.build_reconstructable_job(__name__, "rebuild_job", reconstructable_kwargs=of)
    with _instance() as instance, watched(pipeline):
        return dg.execute_job(
            job, instance, run_config=_run_config(pipeline, request), tags=_tags(pipeline, request)
        )


def rebuild_job(config: str, limit: int | None) -> dg.JobDefinition:
    """The pipeline's job, built anew in each step's process."""
    pipeline = RunRequest(Path(config), limit=limit).pipeline()
    return pipeline_definitions(pipeline).resolve_job_def(job_name(pipeline))


def _run_config(pipeline: PipelineSpec, request: RunRequest) -> dict[str, Any]:
    assets = ["raw_meta", *(step.asset for step in pipeline.steps), "results"]
    options = {"config": {"recompute": request.recompute, "retry_failed": request.retry_failed}}
    return {
        "ops": {f"{pipeline.name}__{asset}": options for asset in assets},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        "execution": {"config": {"multiprocess": STEP_PROCESSES}},
    }


def _tags(pipeline: PipelineSpec, request: RunRequest) -> dict[str, str]:
    if pipeline.shards is None:
        return {}
    first = request.partition or shard_key(0, pipeline.shards)
    last = request.partition or shard_key(pipeline.shards - 1, pipeline.shards)
    return {f"{_RANGE}start": first, f"{_RANGE}end": last}


@contextmanager
def _instance() -> Generator[dg.DagsterInstance]:
    if os.environ.get("DAGSTER_HOME"):
        with _persistent_instance() as instance:
            yield instance
        return
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
