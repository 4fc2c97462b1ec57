"""What a model step reads of each row: its text or medium, its seed, its key."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.rows import (
    ERROR,
    ID,
    KEY,
    REPEAT,
    Row,
    RowError,
    answer_column,
    current,
    key,
    repeat_id,
    seed,
)
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.overlap import Written


@dataclass(frozen=True, slots=True)
class Work:
    """One output row before it is answered.

    Attributes:
        number: Its place in the shard written.
        row: A copy of the row read, with its own id where answers repeat.
        given: What the model gets; None: the row has no such medium, or `error` tells why not.
        error: Why the row's input cannot be used.
    """

    number: int
    row: Row
    given: Given | None = None
    error: RowError | None = None


class InputReader:
    """Makes work of rows, for one step.

    Args:
        pipeline: Gives the seed and where pictures named by the user's columns are.
        step: Its ``reads``, ``input_key`` and ``repeat_time`` decide what is made.
        fingerprint: Begins every row's key.
        meta_folder: Relative picture paths in an ``input_key`` column are below it.
    """

    def __init__(
        self, pipeline: PipelineSpec, step: StepSpec, fingerprint: str, meta_folder: Path
    ) -> None:
        self._step = step
        self._reads = step.config.reads
        self._newest = current(step.config.reads)
        self._repeats = step.config.repeat_time
        self._identity = step.identity
        self._fingerprint = fingerprint
        self._meta_folder = meta_folder
        self._seed = pipeline.seed if step.config.seed is None else step.config.seed
        self._folders = Layout(pipeline)
        self._written = Written(pipeline)
        self._earlier = {
            name: earlier
            for earlier in pipeline.steps[: step.position - 1]
            for name in (earlier.asset, earlier.output_key)
            if name is not None
        }

    def settings(self) -> dict[str, Any]:
        """What decides, beside a row and the model, which output rows there are and their keys."""
        earlier = self._earlier.get(self._step.input_key or "")
        return {
            "asset": self._step.asset,
            "input": [self._step.input_key, None if earlier is None else earlier.asset],
            "meta_folder": str(self._meta_folder),
            "repeat_time": self._repeats,
            "seed": [self._seed, self._identity],
        }

    def read(self, row: Row, number: int) -> Iterator[Work]:
        """The ``repeat_time`` output rows of the `number`-th row read."""
        for repeat in range(self._repeats):
            yield self._work(row, number * self._repeats + repeat, repeat)

    def _work(self, row: Row, number: int, repeat: int) -> Work:
        copy = row.copy()
        if self._repeats > 1:
            copy[ID] = repeat_id(row[ID], repeat)
            copy[REPEAT] = f"{row.get(REPEAT) or ''}_{repeat}"
        if row.get(ERROR) is not None:
            return Work(number, copy)
        copy.pop(KEY, None)
        try:
            value = self._value(row)
        except RowError as error:
            return Work(number, copy, error=error)
        if value is None:
            return Work(number, copy)
        row_seed = seed(self._seed, self._identity, row[ID], repeat)
        return self._with_key(number, copy, value, row_seed)

    def _with_key(self, number: int, row: Row, value: str, row_seed: int) -> Work:
        if self._reads == "text":
            row[KEY] = key(self._fingerprint, row_seed, value)
            return Work(number, row, Given(number, row_seed, text=value))
        row[KEY] = key(self._fingerprint, row_seed, *_medium_identity(value))
        return Work(number, row, Given(number, row_seed, image=value))

    def _value(self, row: Row) -> str | None:
        """The text or the medium's path this step reads; None: the row has none."""
        input_key = self._step.input_key
        if input_key is None:
            return row.get(self._newest)
        if input_key in self._earlier:
            return self._earlier_value(row, self._earlier[input_key])
        if input_key not in row:
            raise RowError("missing_column", f"the row has no column '{input_key}' (input_key)")
        if self._reads == "text":
            return checked_text(row[input_key], input_key)
        path = resolve_medium(row[input_key], self._meta_folder)
        return None if path is None else self._written.checked(path)

    def _earlier_value(self, row: Row, earlier: StepSpec) -> str | None:
        answer = row.get(answer_column(earlier.asset))
        value = None if answer is None else answer.get(self._reads)
        if value is None or self._reads == "text":
            return value
        return str(self._folders.step_folder(earlier) / value)


def checked_text(value: object, column: str) -> str | None:
    """A column's text; None where it is null.

    Raises:
        RowError: ``bad_value``: it is something else.
    """
    if value is None or isinstance(value, str):
        return value
    shown = repr(value)[:80]
    raise RowError(
        "bad_value", f"column '{column}' is {shown} ({type(value).__name__}), not a text"
    )


def _medium_identity(path: str) -> tuple[str, int, int]:
    """A file's path, size and time of change; -1 where it cannot be read, which a model tells."""
    try:
        stat = os.stat(path)  # noqa: PTH116  # a third of Path.stat's cost, once per row
    except (OSError, ValueError):
        return path, -1, -1
    return path, stat.st_size, stat.st_mtime_ns
