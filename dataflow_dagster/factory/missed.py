"""Shards of files that cannot be read: told at once, while all others of the run are made."""

from pathlib import Path
from typing import Final

import dagster as dg

from dataflow_dagster.factory.writers import Job
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import decode, encode
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.stores import mirrors

NOT_MADE: Final = "shards_not_made"
"""Metadata of a run's failure for no other reason than that files could not be read: how many."""

_MOST_TOLD: Final = 10


class Missed:
    """The shards of one asset's run that are not made, and why.

    Why stands in ``<key>.unread`` beside the rows that raw_meta would have made, until it makes
    them: the assets below pass such a shard by, and the last of them fails with the reasons.

    Args:
        job: The asset's work.
        asset: Its name.
    """

    def __init__(self, job: Job, asset: str) -> None:
        self._job = job
        self._asset = asset
        self._layout = Layout(job.pipeline)
        self._of_files = job.pipeline.files_per_shard is not None
        self._reasons: dict[str, str] = {}

    def passes_by(self, key: str | None) -> bool:
        """Whether raw_meta could not read the shard, so that there is nothing to make it of."""
        if not self._of_files or key is None or self._asset == RAW_META:
            return False
        note = _note(self._layout.shard(RAW_META, key))
        mirrors.bring(note)
        if not note.is_file() or self._job.sources[key].manifest() is not None:
            return False
        self._reasons[key] = decode(note.read_bytes())
        return True

    def note(self, key: str | None, error: InputError) -> None:
        """A shard cannot be read.

        Raises:
            InputError: No shard is read without the others.
        """
        if not self._of_files or key is None:
            raise error
        self._reasons[key] = str(error)
        shard = self._layout.shard(RAW_META, key)
        _note(shard).parent.mkdir(parents=True, exist_ok=True)
        _note(shard).write_bytes(encode(str(error)))
        mirrors.put(_note(shard))
        self._job.report.warn(f"shard {key} is not made: {error}")

    def made(self, key: str | None) -> None:
        """A shard is made: what kept it from being read is mended."""
        if self._of_files and self._asset == RAW_META:
            note = _note(self._layout.shard(RAW_META, key))
            if mirrors.exists(note):
                mirrors.remove(note)

    def failure(self, done: int) -> dg.Failure | None:
        """Why the run fails now; None: it goes on with the shards that are done."""
        if not self._reasons or (done and self._asset != RESULTS):
            return None
        first = list(self._reasons.items())[:_MOST_TOLD]
        told = "; ".join(f"{key}: {reason}" for key, reason in first)
        more = len(self._reasons) - len(first)
        told += f"; and {more} more" if more else ""
        count = len(self._reasons)
        said = f"{count} of {len(self._job.keys)} shards were not made: {told}"
        return dg.Failure(description=said, metadata={NOT_MADE: count}, allow_retries=False)


def _note(shard: Shard) -> Path:
    return shard.path.with_name(shard.path.stem + ".unread")
