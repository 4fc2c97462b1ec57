import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.executor.multiprocess import MultiprocessExecutor

from dataflow_dagster.factory import executors
from dataflow_dagster.factory.clusters import EXECUTOR_VARIABLE, ClusterUnreachableError
from dataflow_dagster.factory.executors import placed
from dataflow_dagster.factory.loading import merged_definitions
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.factory.versions import code_versions
from dataflow_dagster.resources.tags import RAY
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, write_pipeline

NOBODY = "http://127.0.0.1:9"

pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def dagster_ray() -> None:
    require("dagster_ray", "pip install -e '.[ray]'")


def options(defs: dg.Definitions, asset: str) -> Any:
    """Ray's part of an asset's op; None: it has none."""
    node = defs.resolve_job_def("demo_pipeline").get_node_named(f"demo__{asset}")
    return json.loads(node.definition.tags.get(RAY, "null"))


@pytest.mark.usefixtures("dagster_ray")
def test_every_step_of_a_pipeline_on_ray_has_rays_resources(tmp_path: Path) -> None:
    step = {**SHOUT, "resources": {"gpus": 2, "cpus": 0.5, "memory": "1.5Gi"}}
    defs = pipeline_definitions(pipeline(tmp_path, [step], executor="ray"))
    asked = {"num_cpus": 0.5, "num_gpus": 2, "memory": 3 << 29}
    assert options(defs, "texts") == asked
    assert options(defs, "raw_meta") == options(defs, "results") == {"num_cpus": 1.0}
    from dagster_ray.configs import RayExecutionConfig

    read = RayExecutionConfig.from_tags({RAY: json.dumps(asked)})
    assert (read.num_cpus, read.num_gpus, read.memory) == (0.5, 2, 3 << 29)


@pytest.mark.usefixtures("dagster_ray")
def test_the_job_of_a_pipeline_on_ray_has_rays_executor_and_takes_its_config(
    tmp_path: Path,
) -> None:
    defs = merged_definitions([write_pipeline(tmp_path, [SHOUT], executor="ray")], {})
    job = defs.resolve_job_def("demo_pipeline")
    assert job.executor_def.name == "ray"
    ray = {"address": "http://head:8265", "env_vars": ["HF_HOME"], "num_cpus": 2}
    for config in ({}, {"max_concurrent": 2}, {"ray": ray}):
        assert dg.validate_run_config(job, {"execution": {"config": config}})
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(job, {"execution": {"config": {"ray": {"adress": "x"}}}})


def test_the_environment_wins_over_the_yaml(tmp_path: Path) -> None:
    written = pipeline(tmp_path, [SHOUT], executor="ray")
    assert placed(written, {EXECUTOR_VARIABLE: "multiprocess"}).executor == "multiprocess"
    assert placed(pipeline(tmp_path, [SHOUT]), {EXECUTOR_VARIABLE: ""}).executor == "multiprocess"


@pytest.mark.usefixtures("dagster_ray")
def test_the_environment_puts_every_pipeline_on_ray(tmp_path: Path) -> None:
    defs = merged_definitions([write_pipeline(tmp_path, [SHOUT])], {EXECUTOR_VARIABLE: "ray"})
    assert options(defs, "texts") == {"num_cpus": 1.0}
    assert defs.resolve_implicit_global_asset_job_def().executor_def.name == "ray"


def test_where_steps_run_changes_no_code_version(tmp_path: Path) -> None:
    here, there = pipeline(tmp_path, [SHOUT]), pipeline(tmp_path, [SHOUT], executor="ray")
    assert code_versions(here) == code_versions(there)


def test_an_unknown_executor_names_the_allowed_ones(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [SHOUT])
    with pytest.raises(PipelineError, match=r"DATAFLOW_EXECUTOR is 'rai', allowed: multiprocess, "):
        placed(pipeline(tmp_path, [SHOUT]), {EXECUTOR_VARIABLE: "rai"})
    broken = merged_definitions([path], {EXECUTOR_VARIABLE: "rai"}).metadata["broken_pipelines"]
    assert "allowed: multiprocess, ray" in str(broken)
    with pytest.raises(PipelineError, match=r"demo.yaml:\d+: executor: is .*'rai', .*'ray'"):
        pipeline(tmp_path, [SHOUT], executor="rai")


@pytest.mark.parametrize("name", ["ray", "k8s"])
def test_without_its_library_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(executors, "find_spec", lambda _: None)
    needs = rf"which needs dagster-{name}: pip install -e \"\.\[{name}\]\", in"
    with pytest.raises(PipelineError, match=f"executor is '{name}', {needs}"):
        placed(pipeline(tmp_path, [SHOUT], executor=name), {})


@pytest.mark.usefixtures("dagster_ray")
@pytest.mark.parametrize(("name", "goes_to_ray"), [("near", False), ("far", True)])
def test_a_run_goes_to_ray_where_a_pipeline_of_its_assets_does(
    tmp_path: Path, name: str, goes_to_ray: bool
) -> None:
    near = write_pipeline(tmp_path, [SHOUT], name="near")
    far = write_pipeline(tmp_path, [SHOUT], name="far", executor="ray")
    job = merged_definitions([near, far], {}).resolve_implicit_global_asset_job_def()
    definition = job.executor_def
    assert definition.executor_creation_fn is not None
    context = dg.InitExecutorContext(
        job=InMemoryJob(job.get_subset(asset_selection={dg.AssetKey([name, "texts"])})),
        executor_def=definition,
        executor_config={"ray": {"address": NOBODY}},
        instance=dg.DagsterInstance.ephemeral(),
    )
    if goes_to_ray:
        with pytest.raises(ClusterUnreachableError, match=f"{NOBODY}.\nRAY_ADDRESS is where"):
            definition.executor_creation_fn(context)
    else:
        assert isinstance(definition.executor_creation_fn(context), MultiprocessExecutor)
