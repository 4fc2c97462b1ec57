"""What the run of one shard needs of the run of its step."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol

from dataflow_dagster.engines.session import Request, Session
from dataflow_dagster.ledger.keys import Origin
from dataflow_dagster.ledger.ledger import Ledger
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import RowError
from dataflow_dagster.schema.pipeline import StepSpec
from dataflow_dagster.steps.inputs import InputReader, Work
from dataflow_dagster.steps.progress import Progress
from dataflow_dagster.steps.saving import MediumSaver


class StepAtWork(Protocol):
    """A step with its engine, which outlives the shard.

    Attributes:
        pipeline_name: The pipeline that the step is of.
        proven: Some row was answered well, now or earlier, or all may fail: it is not hopeless.
        failures: Kind of error → rows of this run that failed of it, in all shards.
    """

    pipeline_name: str
    proven: bool
    failures: Counter[str]

    @property
    def step(self) -> StepSpec:
        """The step whose model answers."""
        ...

    @property
    def shard_fingerprint(self) -> str:
        """Stands in the manifest."""
        ...

    @property
    def origin(self) -> Origin:
        """Marks the answers as the step's."""
        ...

    @property
    def ledger(self) -> Ledger | None:
        """Earlier answers; None: they are not wanted."""
        ...

    @property
    def inputs(self) -> InputReader:
        """Makes work of rows."""
        ...

    @property
    def progress(self) -> Progress:
        """Is told of rows done."""
        ...

    def engine_notes(self) -> Mapping[str, str]:
        """Which engine answers, and what its session has to say of itself."""
        ...

    def session(self) -> Session:
        """The engine, opened at the first call."""
        ...

    def prepare(self, work: Iterator[Work]) -> Iterator[tuple[Work, Request | RowError]]:
        """Requests in order."""
        ...

    def saver(self, target: Shard) -> MediumSaver:
        """Writes drawn pictures below `target`'s folder."""
        ...
