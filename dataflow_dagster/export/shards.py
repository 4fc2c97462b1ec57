"""The finished shards of ``results``, each row joined with its id and where its media are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dataflow_dagster.export.request import ExportError
from dataflow_dagster.ledger.shard import BrokenShardError, Shard, source_version
from dataflow_dagster.media.hosts import PORTS, Hosts, shown
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import AnyPath, place, scheme
from dataflow_dagster.rows import ERROR, ID, Medium, Row, RowError, answer_column
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RESULTS, Layout, meta_folder
from dataflow_dagster.stores.mirrors import address

MEDIA: Final[tuple[Medium, ...]] = ("image", "video")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of ``results``.

    Attributes:
        id: Unique in the pipeline.
        row: The user's columns, with the answers in theirs.
        above: The same row as the last step wrote it.
        shard: Where it stands, for messages.
    """

    id: str
    row: Row
    above: Row
    shard: str

    @property
    def failed(self) -> bool:
        """Whether the row carries an error in place of a result."""
        return self.row.get(ERROR) is not None


class FinishedResults:
    """All shards of a pipeline's ``results``.

    Args:
        pipeline: With its environment resolved.
        keys: The partition keys, in order; ``[None]``: not partitioned.

    Attributes:
        rows: How many rows there are, failed ones included.

    Raises:
        ExportError: A shard is not finished, or older than the rows it was made from.
    """

    def __init__(self, pipeline: PipelineSpec, keys: Sequence[str | None]) -> None:
        self._pipeline = pipeline
        self._layout = Layout(pipeline)
        self._meta_folder = meta_folder(pipeline)
        self._hosts = Hosts(pipeline.allowed_hosts)
        self._shards = [(self._layout.shard(RESULTS, key), self._above(key)) for key in keys]
        self._keys = {"image": pipeline.image_key, "video": pipeline.video_key}
        self.rows = self._checked()

    def __iter__(self) -> Iterator[ResultRow]:
        """Every row, in order, read as a stream."""
        for shard, above in self._shards:
            try:
                for row, other in zip(shard.rows(), above.rows(), strict=True):
                    yield ResultRow(other[ID], row, other, address(shard.path))
            except (BrokenShardError, ValueError) as broken:
                raise ExportError(str(broken)) from broken

    def shown(self, result: ResultRow, medium: Medium) -> AnyPath | None:
        """The medium that stands in the row's own column: what a step drew last, else the source.

        Raises:
            ExportError: The column holds what is no medium.
        """
        value = result.row.get(self._keys[medium])
        if value and self.is_drawn(result, medium):
            return place(address(self._layout.save_folder / value))
        return self.source(result, medium)

    def source(self, result: ResultRow, medium: Medium) -> AnyPath | None:
        """The medium the user gave with the row; None: there is none.

        Raises:
            ExportError: The column holds what is no medium.
        """
        column = self._keys[medium]
        try:
            found = resolve_medium(result.above.get(column), self._meta_folder, self._hosts)
            if found is not None and scheme(found) in PORTS:
                raise RowError("bad_value", f"{shown(found)}: web servers' files are not exported")
            return None if found is None else place(found)
        except RowError as error:
            message = f"row '{result.id}', column '{column}': {error.message}; --which none"
            raise ExportError(f"{message} leaves pictures and videos out") from error

    def is_drawn(self, result: ResultRow, medium: Medium) -> bool:
        """Whether some step drew this row's medium."""
        return any(
            step.config.writes == medium and result.above.get(answer_column(step.asset)) is not None
            for step in self._pipeline.steps
        )

    def _above(self, key: str | None) -> Shard:
        return self._layout.shard(self._pipeline.steps[-1].asset, key)

    def _checked(self) -> int:
        missing: list[str] = []
        rows = 0
        for shard, above in self._shards:
            manifest = shard.manifest()
            if manifest is None:
                missing.append(address(shard.path))
                continue
            rows += manifest.tally.rows
            if manifest.source != _version(above):
                raise ExportError(
                    f"{address(shard.path)} is older than {address(above.path)}: run the pipeline"
                    " again, which"
                    " computes only what is missing"
                )
        if missing:
            raise ExportError(_unfinished(missing, len(self._shards)))
        return rows


def _version(above: Shard) -> str:
    try:
        return source_version(above)
    except BrokenShardError as broken:
        raise ExportError(f"rows' ids are read from there: {broken}") from broken


def _unfinished(missing: Sequence[str], of: int) -> str:
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    count = "results are" if of == 1 else f"{len(missing)} of {of} shards of results are"
    return f"{count} not finished ({shown}): run the pipeline first"
