"""Pictures captioned and drawn again, then exported."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataflow_dagster.export.exporting import Exported, export
from dataflow_dagster.export.request import ExportRequest
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.steps.driving import Ground, draw, partition_keys, step

COLORS = [(255, 0, 0), (0, 128, 0), (0, 0, 255), (9, 9, 9), (200, 200, 0)]


def captioned_and_drawn(ground: Ground, **keys: Any) -> PipelineSpec:
    """Five rows; the picture of the fourth is no picture."""
    for number, color in enumerate(COLORS):
        draw(ground.source / f"{number}.png", color)
    (ground.source / "3.png").write_text("no picture")
    rows = [{"id": f"cat-{number}", "image": f"{number}.png"} for number in range(len(COLORS))]
    ground.rows(*rows)
    return ground.run(step("Look"), step("Paint"), **keys).pipeline


def write(pipeline: PipelineSpec, place: Path | str, kind: Any, **options: Any) -> Exported:
    request = ExportRequest(kind, **options)
    return export(pipeline, partition_keys(pipeline), request, str(place))


def bytes_below(folder: Path) -> Mapping[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
