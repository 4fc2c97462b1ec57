"""Which of the user's columns a step reads, and by which key of the YAML."""

from typing import Final, NamedTuple

from dataflow_dagster.rows import Medium
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec

WORDS: Final[dict[Medium, str]] = {"image": "picture", "text": "text", "video": "clip"}


class ColumnRead(NamedTuple):
    """A column, and the key of the YAML that names it."""

    key: str
    column: str


def column_read(pipeline: PipelineSpec, step: StepSpec) -> ColumnRead | None:
    """The user's column that a step reads; None: it reads what an earlier step made."""
    earlier = pipeline.steps[: step.position - 1]
    medium = step.config.reads
    if step.input_key is not None:
        made = any(step.input_key in (one.asset, one.output_key) for one in earlier)
        return None if made else ColumnRead("input_key", step.input_key)
    if any(one.config.writes == medium for one in earlier):
        return None
    columns = {
        "image": pipeline.image_key,
        "text": pipeline.text_key,
        "video": pipeline.video_key,
    }
    return ColumnRead(f"{medium}_key", columns[medium])
