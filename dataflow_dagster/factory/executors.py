"""Where the steps of a pipeline run: in processes of one machine, or on nodes of a Ray cluster."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final, get_args

import dagster as dg

from dataflow_dagster.engines.errors import installing
from dataflow_dagster.factory.processes import STEP_PROCESSES, step_executor
from dataflow_dagster.resources.tags import RAY
from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.pipeline import PipelineOptions, PipelineSpec

EXECUTOR_VARIABLE: Final = "DATAFLOW_EXECUTOR"
"""Environment variable: the executor of all pipelines, whatever their ``executor`` says."""

EXECUTORS: Final = get_args(PipelineOptions.model_fields["executor"].annotation)

FORWARDED: Final = (EXECUTOR_VARIABLE, "DATAFLOW_PIPELINES", "DATAFLOW_PROGRESS_FOLDER")
"""Variables of a run's process that a step's process on another node needs to find its asset."""

NODE_LOST: Final = dg.RetryPolicy(max_retries=3, delay=5)
"""A step whose node died is begun on another; 5 s: what is left of it has let go of its shard."""


class RayUnreachableError(Exception):
    """No cluster takes our jobs: none answers, or not to our token."""


def placed(pipeline: PipelineSpec, environ: Mapping[str, str]) -> PipelineSpec:
    """The pipeline with the executor it will have here: that of the environment, else its own.

    Raises:
        PipelineError: The environment names no executor, or dagster-ray is not installed.
    """
    named = environ.get(EXECUTOR_VARIABLE) or pipeline.executor
    said = f"{EXECUTOR_VARIABLE} is" if environ.get(EXECUTOR_VARIABLE) else "executor is"
    if named not in EXECUTORS:
        _refuse(pipeline, f"{said} '{named}', allowed: {', '.join(EXECUTORS)}")
    if named == "ray" and find_spec("dagster_ray") is None:
        needs = f"which needs dagster-ray: {installing('ray')}"
        _refuse(pipeline, f"{said} 'ray', {needs}")
    return pipeline.model_copy(update={"executor": named})


def _refuse(pipeline: PipelineSpec, message: str) -> None:
    raise PipelineError(pipeline.path, [Problem(None, None, "", message)])


def job_executor(pipeline: PipelineSpec) -> dg.ExecutorDefinition | None:
    """That of a pipeline's own job; None: that of the definitions it is merged into."""
    return ray_executor() if pipeline.executor == "ray" else None


def location_executor(pipelines: Sequence[PipelineSpec]) -> dg.ExecutorDefinition:
    """That of runs begun at the assets, and of backfills: Dagster has one for all pipelines."""
    uses_ray = any(pipeline.executor == "ray" for pipeline in pipelines)
    return ray_executor() if uses_ray else step_executor()


def ray_executor() -> dg.ExecutorDefinition:
    """dagster-ray's executor where a run holds a step of a pipeline on Ray, else processes.

    Run config: ``execution: {config: {max_concurrent: 2, ray: {…}}}``, ``ray`` as dagster-ray has
    it.
    """
    from dagster_ray.core.executor import RayExecutorConfig
    from dagster_ray.core.executor import ray_executor as of_dagster_ray

    schema = {
        "max_concurrent": dg.Field(int, is_required=False),
        "ray": RayExecutorConfig.to_config_schema().as_field(),
    }

    @dg.executor(
        name="ray", config_schema=schema, requirements=dg.multiple_process_executor_requirements()
    )
    def by_tags(context: dg.InitExecutorContext) -> dg.Executor:
        given = {"retries": {"enabled": {}}, **context.executor_config}
        if _is_on_ray(context):
            return _on_ray(of_dagster_ray, context, _with_variables(given))
        given.pop("ray", None)
        return _created(dg.multiprocess_executor, context, {**STEP_PROCESSES, **given})

    return by_tags


def _is_on_ray(context: dg.InitExecutorContext) -> bool:
    """Whether any step of the run was given Ray's resources: those of pipelines on Ray are."""
    return any(RAY in node.tags for node in context.job.get_definition().all_node_defs)


def _on_ray(
    executor: dg.ExecutorDefinition, context: dg.InitExecutorContext, config: Mapping[str, Any]
) -> dg.Executor:
    from ray.exceptions import RayError

    try:
        return _created(executor, context, config)
    except (ConnectionError, RayError, RuntimeError) as error:
        told = "RAY_ADDRESS is where jobs are submitted, such as http://head:8265; with token"
        told = f"{told} authentication RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH are set here too"
        raise RayUnreachableError(f"{error}\n{told}") from error


def _created(
    executor: dg.ExecutorDefinition, context: dg.InitExecutorContext, config: Mapping[str, Any]
) -> dg.Executor:
    create = executor.executor_creation_fn
    if create is None:
        raise dg.DagsterInvariantViolationError(f"executor {executor.name} creates nothing")
    return create(context._replace(executor_config=config))


def _with_variables(given: Mapping[str, Any]) -> dict[str, Any]:
    ray = dict(given["ray"])
    ray["env_vars"] = [*FORWARDED, *(ray.get("env_vars") or [])]
    return {**given, "ray": ray}
