"""The failed rows of a pipeline, wherever its newest finished files tell them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dataflow_dagster.formats import lookup
from dataflow_dagster.ledger.shard import BrokenShardError, Shard, source_version
from dataflow_dagster.rows import ERROR, GIVEN, ID, PREFIX, Row, RowError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.stores import mirrors


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed row.

    Attributes:
        id: The row's.
        step: The asset at which it failed.
        kind: What errors of one sort share.
        message: For a person to read.
        row: The user's columns, as far as they are known.
    """

    id: str
    step: str
    kind: str
    message: str
    row: Row


@dataclass(frozen=True, slots=True)
class ShardState:
    """How far one shard came.

    Attributes:
        shard: The rows of `asset`, the last one that is finished.
        asset: Its name.
        rows: How many rows it has.
        failures: How many of them failed, at this step or before.
    """

    shard: Shard
    asset: str
    rows: int
    failures: int


class Failures:
    """All failed rows of a pipeline.

    Args:
        pipeline: With its environment resolved.
        keys: Partition keys, in order; ``[None]``: not partitioned.

    Attributes:
        states: Of the shards of which some asset is finished.
        missing: How many shards have nothing finished yet.
    """

    def __init__(self, pipeline: PipelineSpec, keys: Sequence[str | None]) -> None:
        self._layout = Layout(pipeline)
        self._assets = [RESULTS, *(step.asset for step in reversed(pipeline.steps)), RAW_META]
        found = [self._state(key) for key in keys]
        self.states = [state for state in found if state is not None]
        self.missing = len(found) - len(self.states)

    @property
    def rows(self) -> int:
        """Rows of all shards looked at."""
        return sum(state.rows for state in self.states)

    def __iter__(self) -> Iterator[Failure]:
        """In the order of the rows, read as a stream.

        Raises:
            BrokenShardError: A file is damaged.
        """
        for state in self.states:
            if state.failures:
                listed = state.asset == RESULTS
                yield from self._listed(state) if listed else _among_rows(state.shard)

    def _state(self, key: str | None) -> ShardState | None:
        """The last asset that is finished, and made of what stands above it now."""
        for asset, above in zip(self._assets, [*self._assets[1:], None], strict=True):
            shard = self._layout.shard(asset, key)
            manifest = shard.manifest()
            if manifest is None or self._version(above, key) not in (manifest.source, None):
                continue
            tally = manifest.tally
            return ShardState(shard, asset, tally.rows, tally.failed + tally.passed)
        return None

    def _version(self, asset: str | None, key: str | None) -> str | None:
        """What the asset's shard holds now; None where that cannot be told."""
        try:
            return None if asset is None else source_version(self._layout.shard(asset, key))
        except BrokenShardError:
            return None  # deleted to save room, or being written anew

    def _listed(self, state: ShardState) -> Iterator[Failure]:
        """What ``errors.jsonl`` beside the results tells."""
        path = self._layout.errors(state.shard.key)
        mirrors.bring(path)
        if not path.exists():
            where = mirrors.address(path)
            raise BrokenShardError(f"{where} is missing: run the pipeline again, it is made anew")
        for line in lookup.read(path):
            if isinstance(line, RowError):
                raise BrokenShardError(f"{path} is damaged: {line.message}")
            yield Failure(line["id"], line["step"], line["kind"], line["message"], line["row"])


def _among_rows(shard: Shard) -> Iterator[Failure]:
    for row in shard.rows():
        error = row.get(ERROR)
        if error is not None:
            own = {name: value for name, value in row.items() if not name.startswith(PREFIX)}
            given = {**own, **(row.get(GIVEN) or {})}
            yield Failure(row[ID], error["step"], error["kind"], error["message"], given)
