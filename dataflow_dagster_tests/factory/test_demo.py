from pathlib import Path

import pytest

from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.toys.pipelines import read_rows
from dataflow_dagster_tests.toys.runs import materialize, told

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demos_pictures_become_captions_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="pip install -e '.[local]'")
    pytest.importorskip("diffusers", reason="pip install -e '.[local]'")
    monkeypatch.chdir(ROOT)
    folders = {"base_folder": str(tmp_path / "base"), "save_folder": str(tmp_path / "out")}
    captioner, *others = load_pipeline(Path("data/pipelines/demo.yaml")).steps
    settings = captioner.config.model_copy(update={"backend": "transformers"})
    demo = load_pipeline(Path("data/pipelines/demo.yaml")).model_copy(
        update={
            **folders,
            "limit": 4,
            "steps": (captioner.model_copy(update={"config": settings}), *others),
        }
    )
    result = materialize(demo)
    assert result.success
    rows = read_rows(tmp_path / "out/result.jsonl")
    assert len(rows) == 4
    assert [row["text"] for row in rows if not row["text"].endswith(" background")] == []
    assert all((tmp_path / "out" / row["image"]).is_file() for row in rows)
    assert told(result, "demo", "captions")["engine"].startswith("transformers ")
    assert told(result, "demo", "captions")["tokens"] > 0
    assert told(result, "demo", "generated_images")["failed"] == 0
