"""A package that a user installs beside ours: models and step types by entry point."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_dagster_tests.toys.pipelines import read_rows, write_pipeline

ROOT = Path(__file__).parents[2]

MODULE = '''"""Models of one's own."""

from typing import ClassVar

from dataflow_dagster.engines.functions import ENGINE, FunctionSession
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.models.image_captioner import ImageCaptioner, ModelPath
from dataflow_dagster.registry import register
from dataflow_dagster.rows import Medium


@register("ImageCaptioner", aliases=("VipCaptioner",))
class VipLLaVACaptioner(ImageCaptioner):
    """ViP-LLaVA, 7B. Template: https://huggingface.co/llava-hf/vip-llava-7b-hf"""

    prompt_template: ClassVar[str] = "###Human: <image>\\n{p}###Assistant:"
    model_path: ModelPath = "llava-hf/vip-llava-7b-hf"


@register("TextCleaner")
class Shouter(Model):
    """A step type of one's own."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "shouts"
    mark: str = "!"

    def engine(self) -> Engine:
        return ENGINE

    def request(self, given: Given) -> Request:
        return Request(given.number, given.seed, str(given.text))

    def open(self, engine: Engine) -> Session:
        return FunctionSession(lambda text: text.upper() + self.mark, {})
'''
SCRIPT = """
import sys
from pathlib import Path
from dataflow_dagster import registry
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.toys.runs import materialize
model = registry.find("ImageCaptioner", "VipCaptioner")(prompt="Why?")
assert model.render() == "###Human: <image>\\nWhy?###Assistant:", model.render()
assert materialize(load_pipeline(Path(sys.argv[1]))).success
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a process that finds the installed package, as pip would leave it."""
    site, info = tmp_path / "site", tmp_path / "site" / "vivid-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "vivid_models.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vivid\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dataflow_dagster.models]\nvivid = vivid_models\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_its_models_and_step_types_work_without_touching_ours(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    step = {"type": "TextCleaner", "name": "Shouter", "config": {"mark": "?"}}
    path = write_pipeline(tmp_path, [step], rows=[{"text": "hello"}])
    done = run(environment, "-c", SCRIPT, str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert [row["text"] for row in read_rows(tmp_path / "demo" / "out" / "result.jsonl")] == [
        "HELLO?"
    ]


def test_its_keys_are_checked_like_ours(tmp_path: Path, environment: dict[str, str]) -> None:
    step = {"type": "TextCleaner", "name": "Shouter", "config": {"marc": "?"}}
    path = write_pipeline(tmp_path, [step])
    done = run(environment, "-m", "dataflow_dagster", "check", "--config", str(path))
    assert done.returncode == 2
    line = path.read_text().splitlines().index("    marc: '?'") + 1
    assert f"{line}" in done.stdout + done.stderr
    assert "mark" in done.stdout + done.stderr
