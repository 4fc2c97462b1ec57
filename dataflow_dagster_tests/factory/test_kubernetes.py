"""Steps in pods, held against dagster-k8s's own models; no cluster is needed for that."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.executor.multiprocess import MultiprocessExecutor

from dataflow_dagster.factory.clusters import ClusterUnreachableError
from dataflow_dagster.factory.executors import NODE_LOST
from dataflow_dagster.factory.loading import merged_definitions
from dataflow_dagster_tests.docs.reading import DOCS, block_titled
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import SHOUT, write_pipeline
from dataflow_dagster_tests.toys.process import run_python

STEP = {**SHOUT, "resources": {"gpus": 2, "cpus": 4, "memory": "32Gi"}}

pytestmark = pytest.mark.usefixtures("toys", "dagster_k8s")


@pytest.fixture
def dagster_k8s() -> None:
    require("dagster_k8s", "pip install -e '.[k8s]'")


def definitions(folder: Path, **environ: str) -> dg.Definitions:
    return merged_definitions([write_pipeline(folder, [STEP], executor="k8s")], environ)


def container(tags: dict[str, str]) -> dict[str, Any]:
    """The container of a step's pod, as dagster-k8s builds it of the step's tags."""
    from dagster_k8s.container_context import K8sContainerContext
    from dagster_k8s.job import (
        DagsterK8sJobConfig,
        construct_dagster_k8s_job,
        get_user_defined_k8s_config,
    )

    said = K8sContainerContext(run_k8s_config=get_user_defined_k8s_config(tags))
    job = construct_dagster_k8s_job(
        job_config=DagsterK8sJobConfig(job_image="steps:1"),
        args=["dagster", "api", "execute_step"],
        job_name="dagster-step-1",
        user_defined_k8s_config=said.run_k8s_config,
    )
    (built,) = job.to_dict()["spec"]["template"]["spec"]["containers"]
    return built


def test_the_pod_of_a_step_asks_for_its_resources(tmp_path: Path) -> None:
    job = definitions(tmp_path).resolve_job_def("demo_pipeline")
    step = job.get_node_named("demo__texts").definition
    asked = container(dict(step.tags))["resources"]
    assert asked["limits"] == {"nvidia.com/gpu": "2", "memory": "32Gi"}
    assert asked["requests"] == {"nvidia.com/gpu": "2", "memory": "32Gi", "cpu": "4"}
    assert isinstance(step, dg.OpDefinition)
    assert step.retry_policy == NODE_LOST
    first = job.get_node_named("demo__raw_meta").definition
    assert container(dict(first.tags))["resources"]["limits"] is None


def test_the_job_takes_what_dagster_k8s_takes(tmp_path: Path) -> None:
    job = definitions(tmp_path).resolve_job_def("demo_pipeline")
    assert job.executor_def.name == "k8s"
    k8s = {"job_image": "steps:1", "job_namespace": "data", "env_secrets": ["hub"]}
    for config in ({}, {"max_concurrent": 2}, {"k8s": k8s}):
        assert dg.validate_run_config(job, {"execution": {"config": config}})
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(job, {"execution": {"config": {"k8s": {"image": "x"}}}})


def executor_of(defs: dg.Definitions, asset: list[str], config: dict[str, Any]) -> dg.Executor:
    job = defs.resolve_implicit_global_asset_job_def()
    definition = job.executor_def
    assert definition.executor_creation_fn is not None
    context = dg.InitExecutorContext(
        job=InMemoryJob(job.get_subset(asset_selection={dg.AssetKey(asset)})),
        executor_def=definition,
        executor_config=config,
        instance=dg.DagsterInstance.ephemeral(),
    )
    return definition.executor_creation_fn(context)


def test_a_run_goes_to_pods_where_a_pipeline_of_its_assets_does(tmp_path: Path) -> None:
    from dagster._core.executor.step_delegating import StepDelegatingExecutor

    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    near = write_pipeline(tmp_path, [SHOUT], name="near")
    far = write_pipeline(tmp_path, [SHOUT], name="far", executor="k8s")
    defs = merged_definitions([near, far], {})
    inside: dict[str, Any] = {"retries": {"enabled": {}}}
    outside = {"load_incluster_config": False, "kubeconfig_file": str(tmp_path / "kubeconfig")}
    assert isinstance(executor_of(defs, ["near", "texts"], {"k8s": inside}), MultiprocessExecutor)
    in_pods = executor_of(defs, ["far", "texts"], {"k8s": {**inside, **outside}})
    assert isinstance(in_pods, StepDelegatingExecutor)
    with pytest.raises(ClusterUnreachableError, match="which K8sRunLauncher begins: see docs/kub"):
        executor_of(defs, ["far", "texts"], {"k8s": inside})


def test_a_location_may_have_pipelines_on_ray_and_on_kubernetes(tmp_path: Path) -> None:
    require("dagster_ray", "pip install -e '.[ray]'")
    paths = [write_pipeline(tmp_path, [SHOUT], name=n, executor=n) for n in ("ray", "k8s")]
    job = merged_definitions(paths, {}).resolve_implicit_global_asset_job_def()
    assert job.executor_def.name == "ray_k8s"
    config = {"ray": {"address": "http://head:8265"}, "k8s": {"job_image": "steps:1"}}
    assert dg.validate_run_config(job, {"execution": {"config": config}})


def test_a_run_of_the_shell_says_where_runs_on_kubernetes_begin(tmp_path: Path) -> None:
    write_pipeline(tmp_path, [SHOUT], executor="k8s")
    done = run_python(tmp_path, "-m", "dataflow_dagster", "run", "-c", "demo.yaml")
    assert done.returncode == 2
    assert "runs on Kubernetes begin in the Dagster UI" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_pages_instance_has_a_launcher_that_dagster_k8s_takes() -> None:
    from dagster_k8s import K8sRunLauncher

    written = yaml.safe_load(block_titled(DOCS / "kubernetes.md", "dagster.yaml: Kubernetes"))
    launcher = written["run_launcher"]
    assert (launcher["module"], launcher["class"]) == ("dagster_k8s", "K8sRunLauncher")
    from dagster._config import process_config, resolve_to_config_type

    taken = process_config(resolve_to_config_type(K8sRunLauncher.config_type()), launcher["config"])
    assert taken.success, taken.errors
