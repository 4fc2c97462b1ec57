"""Where the steps of a pipeline run: in processes of one machine, or on a cluster."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, get_args

import dagster as dg

from dataflow_dagster.engines.errors import installing
from dataflow_dagster.factory.clusters import CLUSTERS, EXECUTOR_VARIABLE, created
from dataflow_dagster.factory.processes import STEP_PROCESSES, step_executor
from dataflow_dagster.resources.tags import EXECUTOR
from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.pipeline import PipelineOptions, PipelineSpec

EXECUTORS: Final = get_args(PipelineOptions.model_fields["executor"].annotation)

NODE_LOST: Final = dg.RetryPolicy(max_retries=3, delay=5)
"""A step whose node died is begun on another; 5 s: what is left of it has let go of its shard."""


def placed(pipeline: PipelineSpec, environ: Mapping[str, str]) -> PipelineSpec:
    """The pipeline with the executor it will have here: that of the environment, else its own.

    Raises:
        PipelineError: The environment names no executor, or what it needs is not installed.
    """
    named = environ.get(EXECUTOR_VARIABLE) or pipeline.executor
    said = f"{EXECUTOR_VARIABLE} is" if environ.get(EXECUTOR_VARIABLE) else "executor is"
    if named not in EXECUTORS:
        _refuse(pipeline, f"{said} '{named}', allowed: {', '.join(EXECUTORS)}")
    cluster = CLUSTERS.get(named)
    if cluster is not None and find_spec(cluster.module) is None:
        package = cluster.module.replace("_", "-")
        needs = f"which needs {package}: {installing(cluster.extra)}"
        _refuse(pipeline, f"{said} '{named}', {needs}")
    return pipeline.model_copy(update={"executor": named})


def _refuse(pipeline: PipelineSpec, message: str) -> None:
    raise PipelineError(pipeline.path, [Problem(None, None, "", message)])


def job_executor(pipeline: PipelineSpec) -> dg.ExecutorDefinition | None:
    """That of a pipeline's own job; None: that of the definitions it is merged into."""
    return cluster_executor([pipeline.executor]) if pipeline.executor in CLUSTERS else None


def location_executor(pipelines: Sequence[PipelineSpec]) -> dg.ExecutorDefinition:
    """That of runs begun at the assets, and of backfills: Dagster has one for all pipelines."""
    used = [name for name in CLUSTERS if any(one.executor == name for one in pipelines)]
    return cluster_executor(used) if used else step_executor()


def cluster_executor(names: Sequence[str]) -> dg.ExecutorDefinition:
    """The executor of the cluster that a run's steps are for, else processes.

    Run config: ``execution: {config: {max_concurrent: 2, ray: {…}, k8s: {…}}}``, of each cluster
    what its own executor takes.
    """
    schema = {name: CLUSTERS[name].schema() for name in names}

    @dg.executor(
        name="_".join(names),
        config_schema={"max_concurrent": dg.Field(int, is_required=False), **schema},
        requirements=dg.multiple_process_executor_requirements(),
    )
    def by_tags(context: dg.InitExecutorContext) -> dg.Executor:
        config = context.executor_config
        given = {key: value for key, value in config.items() if key not in names}
        given = {"retries": {"enabled": {}}, **given}
        name = _cluster_of(context)
        if name in names:
            return CLUSTERS[name].create(context, {**given, name: config[name]})
        return created(dg.multiprocess_executor, context, {**STEP_PROCESSES, **given})

    return by_tags


def _cluster_of(context: dg.InitExecutorContext) -> Any:
    """That of any of the run's steps; None: of none."""
    nodes = context.job.get_definition().all_node_defs
    return next((node.tags[EXECUTOR] for node in nodes if EXECUTOR in node.tags), None)
