import json
import os

import pytest

from dataflow_dagster.resources.tags import op_tags, stated
from dataflow_dagster.schema.pipeline import Resources


def test_what_is_unset_has_no_tag_and_0_has_one() -> None:
    assert op_tags(Resources()) == {}
    assert op_tags(Resources(gpus=0)) == {"dataflow_dagster/gpus": "0"}


def test_every_stated_resource_is_a_text_under_our_prefix() -> None:
    resources = Resources(gpus=2, pool="gpu", cpus=0.5, memory="32Gi")
    assert stated(resources) == {"gpus": 2, "pool": "gpu", "cpus": 0.5, "memory": "32Gi"}
    assert op_tags(resources)["dataflow_dagster/cpus"] == "0.5"


def test_variables_are_told_by_name_alone() -> None:
    resources = Resources.model_validate({"env": {"TOKEN": "secret", "LEVEL": "1"}})
    assert stated(resources) == {"env": "TOKEN, LEVEL"}
    assert "secret" not in repr(resources)


def test_dagsters_executor_for_kubernetes_reads_them() -> None:
    try:
        from dagster_k8s.job import get_user_defined_k8s_config
        from dagster_k8s.models import k8s_model_from_dict
        from kubernetes.client import V1ResourceRequirements
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("dagster-k8s is not installed")
    tags = op_tags(Resources(gpus=2, cpus=0.5, memory="32Gi", pool="gpu"))
    container = get_user_defined_k8s_config(tags).container_config
    asked = k8s_model_from_dict(V1ResourceRequirements, container["resources"])
    assert asked.requests == {"nvidia.com/gpu": "2", "memory": "32Gi", "cpu": "0.5"}
    assert asked.limits == {"nvidia.com/gpu": "2", "memory": "32Gi"}
    assert get_user_defined_k8s_config(op_tags(Resources(gpus=0))).container_config == {}


def options(resources: Resources) -> dict[str, float]:
    return json.loads(op_tags(resources, "ray")["dagster-ray/config"])


def test_a_step_on_ray_asks_for_what_it_states_and_for_a_core_where_it_states_none() -> None:
    assert options(Resources()) == {"num_cpus": 1.0}
    assert options(Resources(gpus=0)) == {"num_cpus": 1.0, "num_gpus": 0}
    asked = options(Resources(gpus=8, cpus=0.5, memory="32Gi", pool="gpu"))
    assert asked == {"num_cpus": 0.5, "num_gpus": 8, "memory": 32 << 30}
    assert "dagster-ray/config" not in op_tags(Resources(gpus=1))


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("500M", 500_000_000),
        ("1.5Ki", 1536),
        ("1e9", 10**9),
        ("2E", 2 * 10**18),
        ("1000000", 10**6),
    ],
)
def test_memory_reaches_ray_in_bytes(quantity: str, size: int) -> None:
    assert options(Resources(memory=quantity))["memory"] == size
