"""A step's resources as Dagster's tags, which executors and launchers read."""

from typing import Any

from dataflow_dagster.schema.pipeline import Resources

PREFIX = "dataflow_dagster/"


def op_tags(resources: Resources) -> dict[str, str]:
    """One tag a stated resource: ``dataflow_dagster/gpus: "1"``; what is unset has none."""
    return {f"{PREFIX}{name}": str(value) for name, value in stated(resources).items()}


def stated(resources: Resources) -> dict[str, Any]:
    """Resources that are set; 0 is set, None is not. Of `env` the names alone."""
    values = resources.model_dump(exclude_none=True, exclude={"env"})
    return {**values, "env": ", ".join(resources.env)} if resources.env else values
