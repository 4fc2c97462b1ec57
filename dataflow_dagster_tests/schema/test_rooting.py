from pathlib import Path

import pytest

from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.rooting import rooted

TEXT = """
meta_path: {meta}
save_folder: out
steps:
  - type: ImageCaptioner
    name: LLaVACaptioner
    config: {{model_path: models/tiny}}
"""


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("in.jsonl", "/root/x/in.jsonl"),
        ("/data/in.jsonl", "/data/in.jsonl"),
        ("s3://bucket/in.jsonl", "s3://bucket/in.jsonl"),
        ("${PLACE}/in.jsonl", "${PLACE}/in.jsonl"),
    ],
)
def test_a_relative_path_starts_at_the_root_and_no_other_changes(given: str, becomes: str) -> None:
    of = rooted(parse_pipeline(TEXT.format(meta=given), Path("x.yaml")), Path("/root/x"))
    assert of.meta_path == becomes
    assert (of.save_folder, of.base_folder) == ("/root/x/out", "/root/x/intermediate_results")
    assert of.meta_folder is None


def test_a_model_is_a_folder_of_the_root_where_it_is_there_else_a_name(tmp_path: Path) -> None:
    pipeline = parse_pipeline(TEXT.format(meta="a.csv"), Path("x.yaml"))
    assert rooted(pipeline, tmp_path).steps[0].config == pipeline.steps[0].config
    (tmp_path / "models/tiny").mkdir(parents=True)
    assert rooted(pipeline, tmp_path).steps[0].config.model_dump()["model_path"] == str(
        tmp_path / "models/tiny"
    )
