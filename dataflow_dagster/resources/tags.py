"""A step's resources as Dagster's tags, which executors and launchers read."""

import math
from decimal import Decimal
from typing import Any, Final

from dataflow_dagster.rows import encode
from dataflow_dagster.schema.pipeline import Resources

PREFIX: Final = "dataflow_dagster/"
EXECUTOR: Final = f"{PREFIX}executor"
"""Names the cluster that runs a step; without it, it is a process beside its run."""
KUBERNETES: Final = "dagster-k8s/config"
GPU: Final = "nvidia.com/gpu"
RAY: Final = "dagster-ray/config"
CPUS_ON_RAY: Final = 1.0
"""Of a step that says nothing of them. Without any, Ray would run every step on its head node."""

_UNITS: Final = {unit: 1000**power for power, unit in enumerate(("", *"kMGTPE"))} | {
    f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)
}


def op_tags(resources: Resources, executor: str = "multiprocess") -> dict[str, str]:
    """One tag a stated resource: ``dataflow_dagster/gpus: "1"``; what is unset has none.

    Beside them the same in the words of Dagster's executor for Kubernetes, and, of a pipeline on
    Ray, in those of dagster-ray. A pipeline on a cluster is told by `EXECUTOR`.
    """
    tags = {f"{PREFIX}{name}": str(value) for name, value in stated(resources).items()}
    if container := _container(resources):
        tags[KUBERNETES] = encode({"container_config": {"resources": container}}).decode()
    if executor != "multiprocess":
        tags[EXECUTOR] = executor
    if executor == "ray":
        tags[RAY] = encode(_ray_options(resources)).decode()
    return tags


def stated(resources: Resources) -> dict[str, Any]:
    """Resources that are set; 0 is set, None is not. Of `env` the names alone."""
    values = resources.model_dump(exclude_none=True, exclude={"env"})
    return {**values, "env": ", ".join(resources.env)} if resources.env else values


def _container(resources: Resources) -> dict[str, dict[str, str]]:
    """Kubernetes' requests and limits.

    Cores are asked for and may be exceeded; memory and GPUs are both asked for and bounded.
    https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
    """
    bounded: dict[str, str] = {}
    if resources.gpus:
        bounded[GPU] = str(resources.gpus)
    if resources.memory is not None:
        bounded["memory"] = resources.memory
    asked = dict(bounded)
    if resources.cpus is not None:
        asked["cpu"] = f"{resources.cpus:g}"
    return {name: of for name, of in (("requests", asked), ("limits", bounded)) if of}


def _ray_options(resources: Resources) -> dict[str, float]:
    """What Ray sets aside on a node for the step's process; memory in bytes.

    https://docs.ray.io/en/latest/ray-core/scheduling/resources.html
    """
    options: dict[str, float] = {"num_cpus": resources.cpus or CPUS_ON_RAY}
    if resources.gpus is not None:
        options["num_gpus"] = resources.gpus
    if resources.memory is not None:
        options["memory"] = _bytes(resources.memory)
    return options


def _bytes(quantity: str) -> int:
    """``32Gi`` → 34359738368; parts of a byte are rounded up, as Kubernetes does."""
    number = quantity.rstrip("kKMGTPEi")
    return math.ceil(Decimal(number) * _UNITS[quantity[len(number) :]])
