from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.pipeline import job_name, pipeline_definitions
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline

pytestmark = pytest.mark.usefixtures("toys")


def test_a_pipelines_job_takes_all_its_assets(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], name="mine")
    definitions = pipeline_definitions(of)
    dg.Definitions.validate_loadable(definitions)
    assert job_name(of) == "mine_pipeline"
    names = {node.name for node in definitions.resolve_job_def("mine_pipeline").nodes}
    assert names == {"mine__raw_meta", "mine__texts", "mine__results"}


def test_several_pipelines_merge_in_either_format(tmp_path: Path) -> None:
    first = pipeline(tmp_path, [SHOUT], name="first", shards=2)
    second = pipeline(tmp_path, [SHOUT], name="second", format="parquet")
    merged = dg.Definitions.merge(pipeline_definitions(first), pipeline_definitions(second))
    dg.Definitions.validate_loadable(merged)
    assert {job.name for job in merged.resolve_all_job_defs()} >= {
        "first_pipeline",
        "second_pipeline",
    }
