"""What the engines' benchmark works on: pictures, pipelines over them, models busy enough."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dataflow_dagster.engines.session import Request
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.steps.raw_meta import RawMeta, input_index
from dataflow_dagster_tests.pictures import natural
from dataflow_dagster_tests.steps.driving import write_rows

SMALL, LARGE = (320, 240), (2000, 1500)
KINDS_OF_LARGE = 6
"""Large pictures are slow to make; the others are copies under names of their own."""


@dataclass(frozen=True)
class Job:
    """One step over one input, its ``raw_meta`` written.

    Attributes:
        requests: The same rows, decoded, in memory.
    """

    pipeline: PipelineSpec
    source: Shard
    requests: list[Request]

    def target(self, repetition: int) -> Shard:
        step = self.pipeline.steps[0]
        folder = Path(self.pipeline.base_folder) / f"repetition_{repetition}" / step.folder
        return Shard(folder / "result.jsonl", None)


def make_pictures(folder: Path, count: int, size: tuple[int, int]) -> list[dict[str, str]]:
    """Rows of `count` JPEGs, which are written into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds = count if size == SMALL else KINDS_OF_LARGE
    for number in range(kinds):
        natural(size, number).save(folder / f"{number}.jpg", quality=90)
    for number in range(kinds, count):
        content = (folder / f"{number % kinds}.jpg").read_bytes()
        (folder / f"{number}.jpg").write_bytes(content)
    return [{"image": str(folder / f"{number}.jpg")} for number in range(count)]


def make_texts(count: int) -> list[dict[str, str]]:
    return [{"id": str(number), "text": f"a red circle, {number}"} for number in range(count)]


def make_job(
    folder: Path, rows: list[dict[str, str]], step_type: str, name: str, config: dict[str, Any]
) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "meta_path": str(write_rows(folder / "rows.jsonl", rows)),
        "base_folder": str(folder / "base"),
        "save_folder": str(folder / "out"),
        "steps": [{"type": step_type, "name": name, "config": config}],
    }
    pipeline = parse_pipeline(yaml.safe_dump(said), folder / "benchmark.yaml")
    source = Layout(pipeline).shard(RAW_META)
    RawMeta(pipeline, input_index(pipeline)).write_shard(source, 0, 1, recompute=False)
    model = pipeline.steps[0].config
    given = (
        Given(number, number, text=row.get("text"), image=row.get("image"))
        for number, row in enumerate(rows)
    )
    return Job(pipeline, source, [model.request(one) for one in given])
