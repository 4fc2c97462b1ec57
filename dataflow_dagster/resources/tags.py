"""A step's resources as Dagster's tags, which executors and launchers read."""

from typing import Any, Final

from dataflow_dagster.rows import encode
from dataflow_dagster.schema.pipeline import Resources

PREFIX: Final = "dataflow_dagster/"
KUBERNETES: Final = "dagster-k8s/config"
GPU: Final = "nvidia.com/gpu"


def op_tags(resources: Resources) -> dict[str, str]:
    """One tag a stated resource: ``dataflow_dagster/gpus: "1"``; what is unset has none.

    Beside them the same in the words of Dagster's executor for Kubernetes.
    """
    ours = {f"{PREFIX}{name}": str(value) for name, value in stated(resources).items()}
    container = _container(resources)
    if not container:
        return ours
    return {**ours, KUBERNETES: encode({"container_config": {"resources": container}}).decode()}


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
