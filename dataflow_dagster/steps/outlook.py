"""What the rows read so far say of all the input: a wrong key fails every row of it alike."""

from collections import Counter

from dataflow_dagster.rows import Row, RowError, row_id
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META
from dataflow_dagster.steps.progress import Progress
from dataflow_dagster.steps.shard_run import HOPELESS_AFTER, HopelessStepError


class Outlook:
    """Of one run of raw_meta, over all its shards.

    Args:
        pipeline: ``max_failed: 1`` says that every row may fail.
        progress: Is told, once, of a column ``id`` that identifies no row.
    """

    def __init__(self, pipeline: PipelineSpec, progress: Progress) -> None:
        self.proven = pipeline.max_failed == 1
        self._progress = progress
        self._failures = Counter[str]()
        self._looks_at_ids = pipeline.id_key is None

    def failed(self, error: RowError) -> None:
        """One more row cannot be used.

        Raises:
            HopelessStepError: All could not so far, for one and the same reason.
        """
        self._failures[error.kind] += 1
        count = self._failures[error.kind]
        if not self.proven and len(self._failures) == 1 and count >= HOPELESS_AFTER:
            raise HopelessStepError(
                f"{RAW_META}: the first {count} rows read all failed with '{error.kind}';"
                f" the last one: {error.message}"
            )

    def look_at_id(self, row: Row, number: int) -> None:
        """Tell of an ``id`` that is none, where the YAML names no column of ids."""
        if not self._looks_at_ids or (told := unused_id(row)) is None:
            return
        self._looks_at_ids = False
        self._progress.say(f"row {number + 1}: {told}")


def unused_id(row: Row) -> str | None:
    """Why a row's ``id`` is not taken as one, though it has one; None: it is, or it has none."""
    value = row.get("id")
    if value is None or value == "" or row_id(row, None) is not None:
        return None
    return (
        f"column 'id' is {value!r:.80}, no text or whole number: rows like it are known by a hash"
        " of their content"
    )
