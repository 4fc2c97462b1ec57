"""The shipped models through their real engines, driven as any other step."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster_tests.steps.driving import Ground, Outcome, run

pytest.importorskip("transformers", reason="captions are made by transformers here")
pytest.importorskip("diffusers", reason="pictures are drawn by diffusers")

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "data/demo"

CAPTION: dict[str, Any] = {
    "type": "ImageCaptioner",
    "name": "LLaVACaptioner",
    "config": {
        "model_path": str(ROOT / "data/models/scenes_llava"),
        "backend": "transformers",
        "batch_size": 3,
        "temperature": 0.0,
    },
}
DRAW: dict[str, Any] = {
    "type": "ImageGenerator",
    "name": "FLUXGenerator",
    "config": {
        "model_path": str(ROOT / "data/models/scenes_flux"),
        "height": 64,
        "width": 64,
        "num_inference_steps": 2,
        "max_sequence_length": 32,
        "batch_size": 4,
    },
}


def run_real(ground: Ground, *steps: dict[str, Any]) -> Outcome:
    return run(ground.pipeline(*steps))


@pytest.fixture
def scenes(ground: Ground) -> list[dict[str, Any]]:
    """Six demo rows, the third of which is broken, as the input of `ground`."""
    rows = [json.loads(line) for line in (DEMO / "images.jsonl").read_text().splitlines()[:6]]
    for row in rows:
        (ground.source / row["image"]).write_bytes((DEMO / "images" / row["image"]).read_bytes())
    (ground.source / rows[2]["image"]).write_bytes(b"no picture")
    ground.rows(*rows)
    return rows


def test_llava_and_flux_answer_each_row_its_own_and_one_broken_row_costs_itself(
    ground: Ground, scenes: list[dict[str, Any]]
) -> None:
    outcome = run_real(ground, CAPTION, DRAW)
    kinds = outcome.kinds("results")
    assert kinds == [None, None, "corrupt_picture", None, None, None]
    texts = {row["id"]: row.get("text") for row in outcome.rows()}
    good = [row for row in scenes if texts[row["id"]] == row["truth"]]
    assert len(good) >= 4
    pictures = [row["image"] for row in outcome.rows() if "dataflow_error" not in row]
    assert all((ground.folder / "out" / name).is_file() for name in pictures)
    assert pictures[0] == f"generated_images/{Path(scenes[0]['image']).stem}_generated.png"

    again = run_real(ground, CAPTION, DRAW)
    assert again.rows() == outcome.rows()
    assert again.tally("captions").reused == 5
    assert again.tally("generated_images").computed == 0
