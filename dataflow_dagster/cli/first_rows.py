"""What the first rows of an input say of a pipeline's keys, before anything runs."""

from collections.abc import Iterator
from itertools import islice

from dataflow_dagster.formats.inputs import Input
from dataflow_dagster.models.declaration import Model
from dataflow_dagster.rows import Row
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.outlook import unused_id
from dataflow_dagster.steps.wanted import WORDS, column_read

FIRST_ROWS = 100


def remarks(pipeline: PipelineSpec, found: Input) -> list[str]:
    """What is likely to be meant otherwise: columns that no row has, ids that are none.

    Raises:
        InputError: The first file cannot be read.
    """
    rows = list(_first_rows(found))
    said = [] if pipeline.id_key is not None else list(filter(None, map(unused_id, rows)))[:1]
    if rows:
        missing = (_missing(pipeline, step, rows) for step in pipeline.steps)
        said += dict.fromkeys(filter(None, missing))
    return said


def _first_rows(found: Input) -> Iterator[Row]:
    every = (row for file in found.files for block in found.format.read(file) for row in block.rows)
    return (row for row in islice(every, FIRST_ROWS) if isinstance(row, dict))


def _missing(pipeline: PipelineSpec, step: StepSpec, rows: list[Row]) -> str | None:
    """What is said of a column that a step reads and no row has."""
    read = column_read(pipeline, step)
    by_row = type(step.config).takes_row is not Model.takes_row  # asking it would import it
    if read is None or by_row or any(row.get(read.column) not in (None, "") for row in rows):
        return None
    columns = ", ".join(dict.fromkeys(column for row in rows for column in row))
    return (
        f"none of the first {len(rows)} rows has a {WORDS[step.config.reads]}:"
        f" {read.key} is '{read.column}'; their columns: {columns:.200}"
    )
