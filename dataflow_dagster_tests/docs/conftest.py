"""Where the pages' commands are given."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflow_dagster_tests.docs.pages import SMALL
from dataflow_dagster_tests.docs.reading import ROOT
from dataflow_dagster_tests.engines.api_server import ApiServer


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ApiServer) -> Path:
    """What the pages' YAML files name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAFLOW_GPUS", "0")
    monkeypatch.setenv("REWRITER_KEY", "sk-secret")
    monkeypatch.setitem(SMALL, "GPTTextGenerator", {"base_url": server.url})
    (tmp_path / "photos").mkdir()
    for number in range(1, 5):
        shutil.copy(ROOT / f"data/demo/images/scene-00{number}.png", tmp_path / "photos")
    (tmp_path / "prompts.jsonl").write_text(
        '{"id": "lighthouse", "prompt": "a red circle on a blue background"}\n'
        '{"id": "market", "prompt": "a blue square on a red background"}\n'
    )
    return tmp_path
