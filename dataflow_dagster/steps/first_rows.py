"""The first rows of an input: whether what the steps need stands in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from dataflow_dagster.formats.inputs import find_input
from dataflow_dagster.models.declaration import Model
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.schema.spelling import listed, nearest
from dataflow_dagster.steps.wanted import ColumnRead, column_read

LOOKED_AT: Final = 200
"""Rows."""


@dataclass(frozen=True, slots=True)
class FirstRows:
    """What stands at the beginning of an input.

    Attributes:
        rows: Those that can be read, in order.
        errors: Of those that cannot.
        whole: There are no others.
    """

    rows: Sequence[Row]
    errors: Sequence[RowError]
    whole: bool

    @property
    def columns(self) -> list[str]:
        """Their columns, in the order in which they first appear."""
        return list(dict.fromkeys(chain.from_iterable(self.rows)))


def first_rows(pipeline: PipelineSpec) -> FirstRows:
    """Read the first `LOOKED_AT` rows of the input.

    Raises:
        InputError: There is no input, or a file of it cannot be read at all.
    """
    found = find_input(pipeline.meta_path, pipeline.image_key)
    given = chain.from_iterable(b.rows for path in found.files for b in found.format.read(path))
    read = list(islice(given, LOOKED_AT))
    rows = [row for row in read if isinstance(row, dict)]
    errors = [row for row in read if isinstance(row, RowError)]
    return FirstRows(rows, errors, len(read) < LOOKED_AT)


def missing_columns(pipeline: PipelineSpec, first: FirstRows) -> Iterator[str]:
    """One sentence for each column that some step reads and none of these rows has."""
    if not first.rows:
        return
    columns = first.columns
    for key, column in _needed(pipeline):
        filled = any(row.get(column) not in (None, "") for row in first.rows)
        if column not in columns:
            close = nearest(column, columns)
            hint = f"; did you mean '{close}'?" if close else ""
            which = "no row has" if first.whole else f"none of the first {LOOKED_AT} rows has"
            said = f"{which} a column '{column}' ({key}); the columns are "
            yield f"{said}{listed(column, columns)}{hint}"
        elif not filled:
            which = "all rows" if first.whole else f"the first {LOOKED_AT} rows"
            yield f"column '{column}' ({key}) is empty in {which}"


def _needed(pipeline: PipelineSpec) -> Iterator[ColumnRead]:
    """What steps read of the input; a function that is given the row may read anything."""
    named = (step for step in pipeline.steps if not _is_function(step))
    yield from dict.fromkeys(filter(None, (column_read(pipeline, step) for step in named)))


def _is_function(step: StepSpec) -> bool:
    return type(step.config).takes_row is not Model.takes_row  # asking it would import it
