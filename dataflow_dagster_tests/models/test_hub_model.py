"""What is told of a model of the Hub, which is named by a branch and read as a commit."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.models.local_generator import LocalModelGenerator
from dataflow_dagster_tests.engines.checkpoints import text
from dataflow_dagster_tests.engines.fake_hub import SHA
from dataflow_dagster_tests.steps.driving import run
from dataflow_dagster_tests.toys.pipelines import pipeline, text_rows


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models of the Hub in which ``tiny/llama`` is whole; the Hub is out of reach."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    model = tmp_path / "hub" / "models--tiny--llama"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(SHA)
    shutil.copytree(text.llama(tmp_path / "llama"), model / "snapshots" / SHA)
    return tmp_path / "hub"


def test_the_commit_that_main_meant_stands_in_the_manifest_and_in_no_key(
    cache: Path, tmp_path: Path
) -> None:
    config: dict[str, Any] = {"model_path": "tiny/llama", "download_dir": str(cache)}
    config |= {"max_tokens": 2, "backend": "transformers", "device": "cpu"}
    step = {"type": "TextGenerator", "name": "LocalModelGenerator", "config": config}
    outcome = run(pipeline(tmp_path, [step], rows=text_rows(2)))
    (manifest,) = outcome.manifests["texts"]
    assert manifest.engine["revision"] == SHA
    assert SHA not in str(LocalModelGenerator.model_validate(config).key_settings())
