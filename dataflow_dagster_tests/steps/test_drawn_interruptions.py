"""Pictures drawn by real models, the process killed half-way."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from dataflow_dagster.rows import encode
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.steps.driving import Outcome, files, run

pytest.importorskip("transformers", reason="the text encoders are transformers' own")
pytest.importorskip("diffusers", reason="pictures are drawn by diffusers")

ROOT = Path(__file__).parents[2]
FLUX = ROOT / "data/models/scenes_flux"
ROWS, BATCH = 10, 4
KEPT = 6
"""Rows written before the process is killed: those of one batch, and some of the next."""
VICTIM = """
import sys
from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster_tests.soak import kills
append_line = PartWriter.append_line
def flushed(part, *given):
    append_line(part, *given)
    part.flush()
PartWriter.append_line = flushed
kills.victim(["append_line", sys.argv[1]])
"""
"""Killed at that row; each row is on disk at once, as it is of an engine that takes its time."""


@pytest.fixture(scope="module", params=["FLUXGenerator", "StableDiffusionGenerator"])
def drawing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """A step that draws with few steps, and with batches that the rows do not fill."""
    path = str(FLUX)
    if request.param == "StableDiffusionGenerator":
        from dataflow_dagster_tests.engines.checkpoints.sd3 import sd3

        path = sd3(tmp_path_factory.mktemp("sd3"))
    config = {
        "model_path": path,
        "height": 64,
        "width": 64,
        "num_inference_steps": 2,
        "max_sequence_length": 32,
        "batch_size": BATCH,
    }
    return {"type": "ImageGenerator", "name": request.param, "config": config}


@pytest.mark.full
@pytest.mark.slow
def test_pictures_drawn_after_a_kill_are_those_of_a_run_nobody_killed(
    tmp_path: Path, drawing: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, whole = (_made(tmp_path / name, drawing) for name in ("killed", "whole"))
    command = [sys.executable, "-c", VICTIM, str(ROWS + KEPT + 1)]
    threads = str(torch.get_num_threads())  # another number adds in another order
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads}
    victim = subprocess.run(command, cwd=killed, env=environment, check=False)
    assert victim.returncode == -signal.SIGKILL
    tallies = [_run(folder, monkeypatch).tally("generated_images") for folder in (killed, whole)]
    assert [tally.failed for tally in tallies] == [0, 0]
    assert (tallies[0].reused, tallies[0].computed) == (KEPT, ROWS - KEPT)
    assert _pictures(whole) == ROWS
    for part in ("base", "out"):
        assert files(killed / part) == files(whole / part)


def _made(folder: Path, drawing: dict[str, Any]) -> Path:
    folder.mkdir()
    told = ({"id": n, "text": f"a red circle on a blue background, {n}"} for n in range(ROWS))
    (folder / "rows.jsonl").write_bytes(b"".join(encode(row) + b"\n" for row in told))
    said = {
        "name": "drawn",
        "meta_path": "rows.jsonl",
        "base_folder": "base",
        "save_folder": "out",
        "steps": [drawing],
    }
    (folder / "probes.yaml").write_text(yaml.safe_dump(said))
    return folder


def _run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.chdir(folder)
    return run(load_pipeline(Path("probes.yaml")))


def _pictures(folder: Path) -> int:
    """How many there are, no two of them alike."""
    saved = (folder / "out/generated_images").glob("*.png")
    return len({path.read_bytes() for path in saved})
