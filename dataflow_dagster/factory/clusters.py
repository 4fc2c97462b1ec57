"""Clusters whose nodes run steps, each by an executor of Dagster's that is installed apart."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

EXECUTOR_VARIABLE: Final = "DATAFLOW_EXECUTOR"
"""Environment variable: the executor of all pipelines, whatever their ``executor`` says."""

FORWARDED: Final = (EXECUTOR_VARIABLE, "DATAFLOW_PIPELINES", "DATAFLOW_PROGRESS_FOLDER")
"""Variables of a run's process that a step's process on another node needs to find its asset."""


class ClusterUnreachableError(Exception):
    """No cluster takes our jobs: none answers, or not to our token."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where steps run elsewhere than on the machine of their run.

    Attributes:
        module: What must be installed.
        extra: The extra of this package that brings it.
        schema: What the executor takes in a run's config.
        create: The executor, from its context and that config, `retries` and `max_concurrent`
            among it.
    """

    module: str
    extra: str
    schema: Callable[[], dg.Field]
    create: Callable[[dg.InitExecutorContext, Mapping[str, Any]], dg.Executor]


def created(
    executor: dg.ExecutorDefinition, context: dg.InitExecutorContext, config: Mapping[str, Any]
) -> dg.Executor:
    """What an executor's definition makes of a run's config.

    Raises:
        dagster.DagsterInvariantViolationError: It makes nothing.
    """
    create = executor.executor_creation_fn
    if create is None:
        raise dg.DagsterInvariantViolationError(f"executor {executor.name} creates nothing")
    return create(context._replace(executor_config=config))


def _ray_schema() -> dg.Field:
    from dagster_ray.core.executor import RayExecutorConfig

    return RayExecutorConfig.to_config_schema().as_field()


def _on_ray(context: dg.InitExecutorContext, given: Mapping[str, Any]) -> dg.Executor:
    from dagster_ray.core.executor import ray_executor
    from ray.exceptions import RayError

    ray = dict(given["ray"])
    ray["env_vars"] = [*FORWARDED, *(ray.get("env_vars") or [])]
    try:
        return created(ray_executor, context, {**given, "ray": ray})
    except (ConnectionError, RayError, RuntimeError) as error:
        told = "RAY_ADDRESS is where jobs are submitted, such as http://head:8265; with token"
        told = f"{told} authentication RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH are set here too"
        raise ClusterUnreachableError(f"{error}\n{told}") from error


def _k8s_schema() -> dg.Field:
    from dagster_k8s import k8s_job_executor

    return dg.Field(k8s_job_executor.config_schema.config_type)


def _on_k8s(context: dg.InitExecutorContext, given: Mapping[str, Any]) -> dg.Executor:
    from dagster_k8s import k8s_job_executor
    from kubernetes.config import ConfigException

    own = dict(given["k8s"])
    set_here = [name for name in FORWARDED if name in os.environ]  # Dagster refuses an unset one
    own["env_vars"] = [*set_here, *(own.get("env_vars") or [])]
    try:
        return created(k8s_job_executor, context, {**given, **own})
    except ConfigException as error:
        told = "steps are begun from the pod of their run, which K8sRunLauncher begins"
        raise ClusterUnreachableError(f"{error}\n{told}: see docs/kubernetes.md") from error


CLUSTERS: Final[Mapping[str, Cluster]] = {
    "ray": Cluster("dagster_ray", "ray", _ray_schema, _on_ray),
    "k8s": Cluster("dagster_k8s", "k8s", _k8s_schema, _on_k8s),
}
"""Those that ``executor`` may name."""
