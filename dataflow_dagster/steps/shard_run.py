"""One shard on its way through one model step: every row answered once, in any order."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import ERROR, KEY, Medium, Row, RowError, answer_column, current
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.ledger import Ledger
from dataflow_dagster.steps.manifest import Manifest, Tally
from dataflow_dagster.steps.part import PartWriter
from dataflow_dagster.steps.shard import Shard

if TYPE_CHECKING:
    from dataflow_dagster.steps.answering import StepRun

HOPELESS_AFTER = 300


class HopelessStepError(Exception):
    """Every row of the first few hundred failed for one and the same reason."""


class ShardRun:
    """Answers the rows of one shard.

    Args:
        run: The step, its engine and its pool.
        source: The rows read.
        target: The rows written; its earlier answers are reused.
    """

    def __init__(self, run: "StepRun", source: Shard, target: Shard) -> None:
        self._run = run
        self._source = source
        self._target = target
        self._writes: Medium = run.step.config.writes
        self._column = answer_column(run.step.asset)
        self._saver = run.saver(target)
        self._waiting: dict[int, Row] = {}
        self._tally = Tally()

    def write(self, source_version: str) -> Manifest:
        """Answer every row, put them in order, and leave the manifest beside them."""
        began = time.monotonic()
        ledger = Ledger(self._target, self._run.step.asset)
        with PartWriter(self._target) as part:
            self._part, self._ledger = part, ledger
            for number, answer in self._answers():
                self._settle(number, answer)
            for number, value in self._saver.finish():
                self._keep(number, value)
            data_version = part.finish(self._tally.rows)
            self._tally.seconds = time.monotonic() - began
            return self._target.leave_manifest(
                fingerprint=self._run.fingerprint,
                source=source_version,
                data_version=data_version,
                tally=self._tally,
                engine=asdict(self._run.engine),
            )

    def _answers(self) -> Iterator[Answered]:
        """The engine's answers; without a row that needs one it is not opened."""
        requests = self._requests()
        first = next(requests, None)
        if first is not None:
            yield from self._run.session().answers(chain([first], requests))

    def _requests(self) -> Iterator[Request]:
        for work, request in self._run.prepare(self._open_work()):
            if isinstance(request, RowError):
                self._fail(work.number, work.row, request)
            else:
                self._waiting[work.number] = work.row
                yield request

    def _open_work(self) -> Iterator[Work]:
        """Rows that need the engine; all others are settled on the way."""
        for number, row in enumerate(self._source.rows()):
            for work in self._run.inputs.read(row, number):
                self._tally.rows += 1
                if work.row.get(ERROR) is not None:
                    self._tally.passed += 1
                    self._append(work.number, work.row)
                elif work.error is not None:
                    self._fail(work.number, work.row, work.error)
                elif work.given is None:
                    self._tally.skipped += 1
                    self._append(work.number, work.row)
                elif not self._reuse(work):
                    yield work

    def _reuse(self, work: Work) -> bool:
        known = None if self._run.recompute else self._ledger.find(work.row[KEY])
        if known is None or not self._saver.holds(work.row, known):
            return False
        self._tally.reused += 1
        self._append(work.number, self._answered(work.row, known))
        return True

    def _settle(self, number: int, answer: Answer | RowError) -> None:
        if isinstance(answer, RowError):
            self._keep(number, answer)
        elif answer.picture is None:
            self._keep(number, {"text": answer.text, **answer.details})
        else:
            for saved in self._saver.save(number, self._waiting[number], answer):
                self._keep(*saved)

    def _keep(self, number: int, value: dict[str, Any] | RowError) -> None:
        row = self._waiting.pop(number)
        if isinstance(value, RowError):
            self._fail(number, row, value)
            return
        self._tally.computed += 1
        self._tally.tokens += value.get("prompt_tokens", 0) + value.get("completion_tokens", 0)
        self._append(number, self._answered(row, value))

    def _answered(self, row: Row, value: dict[str, Any]) -> Row:
        row[self._column] = value
        row[current(self._writes)] = (
            value["text"] if self._writes == "text" else str(self._saver.path_of(value))
        )
        return row

    def _fail(self, number: int, row: Row, error: RowError) -> None:
        row[ERROR] = error.as_column(self._run.step.asset)
        self._tally.count_error(error.kind)
        self._append(number, row)
        tally = self._tally
        if tally.failed == HOPELESS_AFTER and len(tally.kinds) == 1 and not tally.computed:
            raise HopelessStepError(
                f"{self._run.step.asset}: the first {HOPELESS_AFTER} rows tried all failed with"
                f" '{error.kind}'; the last one: {error.message}"
            )

    def _append(self, number: int, row: Row) -> None:
        self._part.append(number, row)
        self._run.progress.advance(1, int(row.get(ERROR) is not None))
