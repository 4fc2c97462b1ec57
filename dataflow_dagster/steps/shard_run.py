"""One shard on its way through one model step: every row answered once, in any order."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import ERROR, KEY, Medium, Row, RowError, answer_column, current
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.ledger import Ledger
from dataflow_dagster.steps.manifest import Manifest, Tally
from dataflow_dagster.steps.part import PartWriter, RowsMismatchError
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
        self._newest = current(self._writes)
        self._saver = run.saver(target)
        self._preparing = 0
        self._waiting: dict[int, Row] = {}
        self._tally = Tally()

    def write(self, source_version: str) -> Manifest:
        """Answer every row, put them in order, and leave the manifest beside them."""
        began = time.monotonic()
        with PartWriter(self._target) as part:
            self._target.manifest_path.unlink(missing_ok=True)
            self._part = part
            self._ledger = (
                None if self._run.recompute else Ledger(self._target, self._run.step.asset)
            )
            self._answer_all()
            data_version = part.finish(self._tally.rows)
            self._tally.seconds = time.monotonic() - began
            return self._target.leave_manifest(
                fingerprint=self._run.shard_fingerprint,
                source=source_version,
                data_version=data_version,
                tally=self._tally,
                engine=asdict(self._run.engine),
            )

    def _answer_all(self) -> None:
        with closing(self._answers()) as answers:  # left early, the engine's threads end first
            for number, answer in answers:
                self._settle(number, answer)
        for saved in self._saver.finish():
            self._keep(*saved)

    def _answers(self) -> Generator[Answered]:
        """The engine's answers; without a row that needs one it is not opened."""
        with closing(self._requests()) as requests:
            first = next(requests, None)
            if first is not None:
                yield from self._run.session().answers(chain([first], requests))
            if next(requests, None) is not None:
                raise RowsMismatchError(
                    f"{self._target.path}: the engine stopped before the last row"
                )

    def _requests(self) -> Generator[Request]:
        for work, request in self._run.prepare(self._open_work()):
            self._preparing -= 1
            for saved in self._saver.saved():  # not left until the engine's next answer
                self._keep(*saved)
            if isinstance(request, RowError):
                self._fail(work.number, work.row, request, undecided=self._at_engine())
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
                    undecided = self._preparing + self._at_engine()
                    self._fail(work.number, work.row, work.error, undecided=undecided)
                elif work.given is None:
                    self._tally.skipped += 1
                    self._append(work.number, work.row)
                elif not self._reuse(work):
                    self._preparing += 1
                    yield work

    def _at_engine(self) -> int:
        """How many earlier rows may still turn out well."""
        return len(self._waiting) + len(self._saver)

    def _reuse(self, work: Work) -> bool:
        known = None if self._ledger is None else self._ledger.find(work.row[KEY])
        if known is None or not self._saver.holds(work.row, known):
            return False
        self._tally.reused += 1
        self._run.proven = True
        self._append(work.number, self._answered(work.row, known))
        return True

    def _settle(self, number: int, answer: Answer | RowError) -> None:
        row = self._waiting.pop(number, None)
        if row is None:
            raise RowsMismatchError(
                f"{self._target.path}: row {number} was answered twice, or was not asked"
            )
        if isinstance(answer, RowError):
            self._fail(number, row, answer, undecided=0)
        elif self._writes == "text" and answer.text is not None:
            self._keep(number, row, {"text": answer.text, **answer.details})
        elif self._writes == "image" and answer.picture is not None:
            for saved in self._saver.save(number, row, answer):
                self._keep(*saved)
        else:
            raise RowsMismatchError(
                f"{self._target.path}: the answer to row {number} has no {self._writes}"
            )

    def _keep(self, number: int, row: Row, value: dict[str, Any] | RowError) -> None:
        if isinstance(value, RowError):
            self._fail(number, row, value, undecided=0)
            return
        self._tally.computed += 1
        self._tally.tokens += value.get("prompt_tokens", 0) + value.get("completion_tokens", 0)
        self._run.proven = True
        self._append(number, self._answered(row, value))
        self._part.flush()  # an answer costs more than telling the system of it

    def _answered(self, row: Row, value: dict[str, Any]) -> Row:
        row[self._column] = value
        row[self._newest] = (
            value["text"] if self._writes == "text" else str(self._saver.path_of(value))
        )
        return row

    def _fail(self, number: int, row: Row, error: RowError, *, undecided: int) -> None:
        """Record a row's error; `undecided` rows that were tried before it may yet be answered."""
        row[ERROR] = error.as_column(self._run.step.asset)
        self._tally.count_error(error.kind)
        self._append(number, row, failed=1)
        alike = self._tally.failed >= HOPELESS_AFTER and len(self._tally.kinds) == 1
        if alike and not undecided and not self._run.proven:
            raise HopelessStepError(
                f"{self._run.step.asset}: the first {self._tally.failed} rows tried all failed"
                f" with '{error.kind}'; the last one: {error.message}"
            )

    def _append(self, number: int, row: Row, *, failed: int = 0) -> None:
        self._part.append(number, row)
        self._run.progress.advance(1, failed)
