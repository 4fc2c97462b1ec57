"""Pipelines of toys, written to disk for one test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from dataflow_dagster.rows import Row, decode
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.toys.models import COLORS

SHOUT: dict[str, Any] = {"type": "Toy", "name": "Shouter"}
WANDER: dict[str, Any] = {"type": "Toy", "name": "Wanderer"}
NAME: dict[str, Any] = {"type": "Toy", "name": "Namer"}
PAINT: dict[str, Any] = {"type": "Toy", "name": "Painter"}
FILM: dict[str, Any] = {"type": "Toy", "name": "Filmer"}
WATCH: dict[str, Any] = {"type": "Toy", "name": "Watcher"}


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def text_rows(count: int) -> list[Row]:
    return [{"id": str(number), "text": f"row {number}"} for number in range(count)]


def picture_rows(folder: Path, count: int) -> list[Row]:
    """Rows of one-coloured pictures, which are drawn into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for number in range(count):
        color = list(COLORS)[number % len(COLORS)]
        Image.new("RGB", (4, 4), COLORS[color]).save(folder / f"{number}.png")
        rows.append({"id": f"p{number}", "image": f"{number}.png", "color": color})
    return rows


def write_pipeline(
    folder: Path,
    steps: Sequence[dict[str, Any]],
    *,
    rows: Sequence[Row] | None = None,
    name: str = "demo",
    **keys: Any,
) -> Path:
    """``<folder>/<name>.yaml``; its input, rows and results lie in `folder` too."""
    if "meta_path" not in keys:
        meta = write_rows(folder / name / "in.jsonl", text_rows(4) if rows is None else rows)
        keys["meta_path"] = str(meta)
    document = {
        "name": name,
        "base_folder": str(folder / name / "base"),
        "save_folder": str(folder / name / "out"),
        **keys,
        "steps": list(steps),
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def pipeline(folder: Path, steps: Sequence[dict[str, Any]], **keys: Any) -> PipelineSpec:
    return load_pipeline(write_pipeline(folder, steps, **keys))


def with_config(step: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {**step, "config": {**step.get("config", {}), **config}}


def read_rows(path: Path) -> list[Row]:
    return [decode(line) for line in path.read_bytes().splitlines()]
