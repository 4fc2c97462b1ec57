"""Asset checks, answered in the step's own process, of shards made now and of shards reused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dataflow_dagster.factory.standards import Standard, standards, worst_shards
from dataflow_dagster.factory.tables import table
from dataflow_dagster.ledger.manifest import Manifest, Tally, sum_of
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.inspection import review_of
from dataflow_dagster.steps.layout import RAW_META, RESULTS
from dataflow_dagster.steps.review import Review
from dataflow_dagster.steps.wanted import WORDS, column_read

FAILED_SHARE = "failed_share"
COMPLETE = "complete"

Done = tuple[Shard, Manifest]
Sources = Mapping[str | None, Shard]


@dataclass(frozen=True, slots=True)
class AssetChecks:
    """The checks of one asset of a pipeline.

    Attributes:
        key: The asset's key.
        pipeline: Its ``max_failed``, and the steps, tell what is wanted.
        asset: The asset's name.
    """

    key: dg.AssetKey
    pipeline: PipelineSpec
    asset: str

    def specs(self) -> list[dg.AssetCheckSpec]:
        """What the asset is held to, known before it is made."""
        said = "Rows out = rows in × repeat_time, with the same ids in the same order."
        if self.asset == RAW_META:
            said = "Rows out = rows of the input."
        return [
            _failed_share_spec(self.key, self.pipeline.max_failed),
            dg.AssetCheckSpec(COMPLETE, asset=self.key, blocking=True, description=said),
            *(standard.spec(self.key) for standard in self._standards()),
        ]

    def results(
        self, done: Sequence[Done], sources: Sources, *, part: bool = False
    ) -> list[dg.AssetCheckResult]:
        """The verdicts on the shards of one run.

        Args:
            done: The shards and their manifests.
            sources: The shards they were made of, by partition key.
            part: The run has others: what lacks in these alone may be no mistake.
        """
        return list(self._results(done, sources, part=part))

    def _results(
        self, done: Sequence[Done], sources: Sources, *, part: bool
    ) -> Iterator[dg.AssetCheckResult]:
        step = step_of(self.pipeline, self.asset)
        tallies = {shard.key: manifest.tally for shard, manifest in done}
        alone = None if step is None or part else _all_left_alone(self.pipeline, step, tallies)
        yield _failed_share(self.key, tallies, self.pipeline.max_failed, alone)
        if self.asset == RAW_META:
            yield self._complete(list(map(self._unlike_index, done)))
        if self.asset == RESULTS:
            yield self._complete(list(map(self._unlike_in_number, done, _in_turn(done, sources))))
        if step is not None:
            reviews = [review_of(shard, self.asset, step) for shard, _ in done]
            unlike = [
                self._unlike(step, *pair)
                for pair in zip(reviews, _in_turn(done, sources), strict=True)
            ]
            yield self._complete(unlike)
            found = {shard.key: review for (shard, _), review in zip(done, reviews, strict=True)}
            yield from (standard.verdict(self.key, found) for standard in self._standards())

    def _standards(self) -> list[Standard]:
        step = step_of(self.pipeline, self.asset)
        return [] if step is None else standards(step)

    def _unlike(self, step: StepSpec, review: Review, source: Shard) -> "_Compared":
        above = self.pipeline.steps[step.position - 2] if step.position > 1 else None
        read = review_of(source, RAW_META if above is None else above.asset, above)
        wanted = read.rows * step.config.repeat_time
        return _Compared(source.key, wanted, review.rows, read.ids == review.read_ids)

    def _unlike_in_number(self, done: Done, source: Shard) -> "_Compared":
        step = self.pipeline.steps[-1]
        wanted = review_of(source, step.asset, step).rows
        return _Compared(source.key, wanted, done[1].tally.rows, same_ids=True)

    def _unlike_index(self, done: Done) -> "_Compared":
        """The rows that are there, beside those that were read of the input."""
        shard, manifest = done
        rows = review_of(shard, RAW_META, None).rows
        return _Compared(shard.key, manifest.tally.rows, rows, same_ids=True)

    def _complete(self, compared: Sequence["_Compared"]) -> dg.AssetCheckResult:
        wrong = [shard for shard in compared if not shard.is_whole]
        wanted, rows = sum(c.wanted for c in compared), sum(c.rows for c in compared)
        said = f"{rows} of {wanted} rows are here, "
        said += "; ".join(shard.said for shard in wrong[:5]) if wrong else "each in its place"
        return dg.AssetCheckResult(
            asset_key=self.key,
            check_name=COMPLETE,
            passed=not wrong,
            description=said,
            metadata={"rows": rows, "wanted": wanted, "shards": len(compared)},
        )


@dataclass(frozen=True, slots=True)
class _Compared:
    """A shard beside the one it was made of."""

    key: str | None
    wanted: int
    rows: int
    same_ids: bool

    @property
    def is_whole(self) -> bool:
        return self.wanted == self.rows and self.same_ids

    @property
    def said(self) -> str:
        where = "" if self.key is None else f"shard {self.key}: "
        if self.wanted != self.rows:
            return f"{where}{self.rows} rows where {self.wanted} belong"
        return f"{where}the ids are not those of the rows read, or stand in another order"


def step_of(pipeline: PipelineSpec, asset: str) -> StepSpec | None:
    """The step that makes an asset; None: ``raw_meta`` or ``results``."""
    return next((step for step in pipeline.steps if step.asset == asset), None)


def _in_turn(done: Sequence[Done], sources: Sources) -> list[Shard]:
    return [sources[shard.key] for shard, _ in done]


def _failed_share_spec(asset: dg.AssetKey, max_failed: float | None) -> dg.AssetCheckSpec:
    """Warns of failed rows, stops above `max_failed`."""
    allowed = (
        "Warns where a row failed" if max_failed is None else f"Stops above {max_failed:.1%}, warns"
    )
    allowed += ", and where no row has what is read."
    return dg.AssetCheckSpec(
        FAILED_SHARE, asset=asset, blocking=max_failed is not None, description=allowed
    )


def _failed_share(
    asset: dg.AssetKey,
    tallies: Mapping[str | None, Tally],
    max_failed: float | None,
    alone: str | None,
) -> dg.AssetCheckResult:
    tally = sum_of(tallies.values())
    share = tally.failed / tally.rows if tally.rows else 0.0
    too_many = max_failed is not None and share > max_failed
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(tally.kinds.items()))
    said = f"{tally.failed} of {tally.rows} rows failed here" + (f" ({kinds})" if kinds else "")
    shown: dict[str, Any] = {
        "failed": tally.failed,
        "rows": tally.rows,
        "share": round(share, 6),
    }
    if tally.kinds:
        counts = [[kind, str(count)] for kind, count in sorted(tally.kinds.items())]
        shown["kinds"] = dg.MetadataValue.md(table(["kind", "rows"], counts))
    shown |= worst_shards({key: (t.failed, t.rows) for key, t in tallies.items()}, "failed")
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=FAILED_SHARE,
        passed=not too_many and (tally.failed == 0 or max_failed is not None) and alone is None,
        severity=dg.AssetCheckSeverity.ERROR if too_many else dg.AssetCheckSeverity.WARN,
        description=alone
        or said + (f", more than max_failed {max_failed:.1%}" if too_many else ""),
        metadata=shown,
    )


def _all_left_alone(
    pipeline: PipelineSpec, step: StepSpec, tallies: Mapping[str | None, Tally]
) -> str | None:
    """What is said where no row has what the step reads; None: some has, or there is no row."""
    tally = sum_of(tallies.values())
    if not tally.skipped or tally.skipped + tally.passed < tally.rows:
        return None
    read = column_read(pipeline, step)
    named = "" if read is None else f"; {read.key} is '{read.column}'"
    return f"no row has a {WORDS[step.config.reads]}: all {tally.skipped} were left alone{named}"
