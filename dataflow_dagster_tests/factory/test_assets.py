from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.toys.pipelines import (
    NAME,
    PAINT,
    SHOUT,
    picture_rows,
    pipeline,
    read_rows,
    with_config,
)
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
DEMO = Path(__file__).parents[2] / "data/pipelines/demo.yaml"


def _assets(of: PipelineSpec) -> dict[str, dg.AssetsDefinition]:
    return {asset.key.to_user_string(): asset for asset in PipelineAssets(of).build()}


def test_the_demo_is_a_chain_from_raw_meta_to_results() -> None:
    assets = _assets(load_pipeline(DEMO))
    above = {key: [dep.to_user_string() for dep in a.dependency_keys] for key, a in assets.items()}
    assert above == {
        "demo/raw_meta": [],
        "demo/captions": ["demo/raw_meta"],
        "demo/generated_images": ["demo/captions"],
        "demo/results": ["demo/generated_images"],
    }
    assert {a.group_names_by_key[a.key] for a in assets.values()} == {"demo"}


def test_a_step_shows_its_model_kinds_owners_tags_and_resources(tmp_path: Path) -> None:
    step = {**SHOUT, "resources": {"gpus": 1, "pool": "gpu", "memory": "8Gi"}}
    keys = {"owners": ["team:vision"], "tags": {"tier": "gold"}, "format": "parquet"}
    assets = _assets(pipeline(tmp_path, [step], **keys))
    spec = assets["demo/texts"].get_asset_spec()
    assert "**Shouter**" in str(spec.description)
    assert spec.kinds == {"python", "parquet"}
    assert (spec.owners, spec.tags["tier"]) == (["team:vision"], "gold")
    assert spec.metadata["resources/gpus"] == 1
    assert spec.metadata["resources/memory"] == "8Gi"
    op = assets["demo/texts"].op
    assert op.pool == "gpu"
    assert {k: v for k, v in op.tags.items() if k.startswith("dataflow")} == {
        "dataflow_dagster/gpus": "1",
        "dataflow_dagster/pool": "gpu",
        "dataflow_dagster/memory": "8Gi",
    }
    assert assets["demo/raw_meta"].op.pool is None
    assert "resources/gpus" not in assets["demo/results"].get_asset_spec().metadata


def test_a_step_shows_its_replicas_and_how_long_it_may_be_silent(tmp_path: Path) -> None:
    step = {**SHOUT, "resources": {"gpus": 4}, "replicas": "auto", "stall_timeout_s": 600}
    assets = _assets(pipeline(tmp_path, [step]))
    shown = assets["demo/texts"].get_asset_spec().metadata
    assert (shown["replicas"], shown["stall_timeout_s"]) == (4, 600)
    plain = _assets(pipeline(tmp_path, [SHOUT]))["demo/texts"].get_asset_spec().metadata
    assert not {"replicas", "stall_timeout_s"} & plain.keys()


def test_no_gpus_is_shown_and_unsaid_gpus_are_not(tmp_path: Path) -> None:
    said = _assets(pipeline(tmp_path, [{**SHOUT, "resources": {"gpus": 0}}]))["demo/texts"]
    unsaid = _assets(pipeline(tmp_path, [SHOUT]))["demo/texts"]
    assert said.get_asset_spec().metadata["resources/gpus"] == 0
    assert said.op.tags["dataflow_dagster/gpus"] == "0"
    assert "resources/gpus" not in unsaid.get_asset_spec().metadata
    assert "dataflow_dagster/gpus" not in unsaid.op.tags


def test_pictures_go_through_two_steps_to_the_results(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 3)
    of = pipeline(tmp_path, [NAME, PAINT], rows=rows, meta_folder=str(tmp_path / "in"))
    assert materialize(of).success
    results = read_rows(tmp_path / "demo/out/result.jsonl")
    assert [row["text"] for row in results] == ["a red", "a green", "a blue"]
    assert [row["image"] for row in results] == [
        f"generated_images/{n}_generated.png" for n in "012"
    ]
    assert (tmp_path / "demo/out/generated_images/2_generated.png").is_file()


def test_recompute_in_the_run_config_answers_every_row_anew(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    of = pipeline(tmp_path, [with_config(SHOUT, trace=str(trace))])
    assert materialize(of).success
    assert materialize(of).success
    assert trace.read_text().count("open") == 1
    assert materialize(of, recompute=True).success
    assert trace.read_text().count("open") == 2


def test_braces_in_a_prompt_reach_the_model_as_they_are(tmp_path: Path) -> None:
    rows = picture_rows(tmp_path / "in", 1)
    step = with_config(NAME, prompt="{{ caption }} {% ${HOME} {color}")
    of = pipeline(tmp_path, [step], rows=rows, meta_folder=str(tmp_path / "in"))
    assert materialize(of).success
    (row,) = read_rows(tmp_path / "demo/out/result.jsonl")
    assert row["text"] == "{{ caption }} {% ${HOME} red"
