import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineKeys, Resources, name_of, reserved_asset


def _accepts(**said: object) -> bool:
    values = {"name": "x", "meta_path": "m", "steps": [{"type": "A", "name": "B"}], **said}
    try:
        PipelineKeys.model_validate(values)
    except ValidationError:
        return False
    return True


def test_a_step_s_resources_go_over_the_pipeline_s_and_none_is_not_zero() -> None:
    default = Resources(gpus=2, pool="gpu", cpus=4)
    assert Resources(gpus=0).merged_over(default) == Resources(gpus=0, pool="gpu", cpus=4)
    assert Resources().merged_over(default) == default
    assert Resources(memory="1Gi").merged_over(Resources()) == Resources(memory="1Gi")


@pytest.mark.parametrize(
    ("stem", "name"),
    [("demo", "demo"), ("my-pipe line.v2", "my_pipe_line_v2"), ("größe", "gr__e"), ("", "_")],
)
def test_a_pipeline_is_named_after_its_file(stem: str, name: str) -> None:
    assert name_of(Path(f"data/{stem}.yaml" if stem else ".")) == name


@pytest.mark.parametrize("asset", ["raw_meta", "results", "text", "id", "key", "source_text"])
def test_an_asset_whose_column_would_be_ours_is_reserved(asset: str) -> None:
    assert reserved_asset(asset)
    assert not reserved_asset("captions")


@pytest.mark.parametrize("memory", ["32Gi", "500M", "1.5Ti", "2e9", "1000000000"])
def test_a_quantity_of_memory_is_accepted(memory: str) -> None:
    assert _accepts(resources={"memory": memory})


@pytest.mark.parametrize("memory", ["32", "32GB", "32 Gi", "Gi", "-1Gi", "", "1Gi\n"])
def test_what_is_no_quantity_of_memory_is_not(memory: str) -> None:
    assert not _accepts(resources={"memory": memory})


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("name", "a_1", "a-1"),
        ("owners", ["team:vision", "a@b.org"], ["vision"]),
        ("tags", {"dagster/kind/x": "", "team": "a"}, {"a b": "c"}),
        ("tags", {"team": "a"}, {"team": 1}),
        ("id_key", "größe", "dataflow_id"),
        ("image_key", "a picture", ""),
        ("shards", 1, 0),
        ("shards", 100_000, 100_001),
        ("max_failed", 0, 1.01),
        ("max_failed", 1, float("nan")),
        ("seed", -(2**70), True),
        ("format", "parquet", "csv"),
        ("resources", {"cpus": 0.5}, {"cpus": float("inf")}),
        ("resources", {"gpus": 0}, {"gpus": -1}),
        ("resources", {"pool": "gpu/a"}, {"pool": "${POOL}"}),
        ("meta_path", "s3://a/b", ""),
    ],
)
def test_a_key_takes_what_it_means_and_nothing_else(key: str, good: object, bad: object) -> None:
    assert _accepts(**{key: good})
    assert not _accepts(**{key: bad})


def test_variables_of_a_step_are_put_over_those_of_its_pipeline_one_by_one() -> None:
    default = Resources.model_validate({"gpus": 0, "env": {"A": "1", "B": "2"}})
    own = Resources.model_validate({"env": {"B": "3"}})
    merged = own.merged_over(default)
    assert (merged.gpus, merged.variables()) == (0, {"A": "1", "B": "3"})
    assert Resources().merged_over(default) == default


def test_names_in_other_letters_are_told_apart() -> None:
    names = {name_of(Path(f"{stem}.yaml")) for stem in ("图片", "视频", "图片1")}
    assert len(names) == 3
    assert all(re.fullmatch("pipeline_[0-9a-f]{8}", name) for name in names)


@pytest.mark.parametrize(
    ("folder", "limited"),
    [
        ("results/", "results_limit_5"),
        ("/data/out", "/data/out_limit_5"),
        (".", "./limit_5"),
        ("./", "./limit_5"),
        ("..", "../limit_5"),
        ("a/..", "a/../limit_5"),
        ("/", "/limit_5"),
        ("s3://bucket/out", "s3://bucket/out_limit_5"),
        ("s3://bucket", "s3://bucket/limit_5"),
        ("s3://bucket/", "s3://bucket/limit_5"),
    ],
)
def test_a_trial_goes_beside_the_real_folder_or_into_it(folder: str, limited: str) -> None:
    text = (
        f"meta_path: m\nsave_folder: '{folder}'\nsteps: [{{type: ImageCaptioner, name:"
        " LLaVACaptioner}]"
    )
    trial = parse_pipeline(text, Path("cats.yaml")).limited(5)
    assert (trial.save_folder, trial.name) == (limited, "cats_limit_5")
    assert trial.base_folder == "intermediate_results_limit_5"
