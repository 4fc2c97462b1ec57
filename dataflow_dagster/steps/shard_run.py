"""One shard on its way through one model step: every row answered once, in any order."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain
from typing import Any

from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.ledger.ledger import Known
from dataflow_dagster.ledger.manifest import Manifest, Tally
from dataflow_dagster.ledger.part import PartWriter, RowsMismatchError
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import (
    ERROR,
    KEY,
    Medium,
    Row,
    RowError,
    answer_column,
    current,
    encode,
)
from dataflow_dagster.steps.changed_rows import changed_rows
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.step_at_work import StepAtWork
from dataflow_dagster.stores import mirrors

HOPELESS_AFTER = 300
_PAUSE_S = 0.005
_TELL_ROWS = 256


class HopelessStepError(Exception):
    """Every row of the first few hundred failed for one and the same reason."""


class ShardRun:
    """Answers the rows of one shard.

    Args:
        run: The step, its engine and its pool.
        source: The rows read.
        target: The rows written; its earlier answers are reused.
    """

    def __init__(self, run: StepAtWork, source: Shard, target: Shard) -> None:
        self._run = run
        self._source = source
        self._target = target
        self._ledger = run.ledger
        self._writes: Medium = run.step.config.writes
        self._column = answer_column(run.step.asset)
        self._newest = current(self._writes)
        self._saver = run.saver(target)
        self._preparing: dict[int, None] = {}  # numbers, in order
        self._waiting: dict[int, Work] = {}
        self._tally = Tally()
        self._told_rows = self._told_failed = 0
        self._paused_at = 0.0

    def write(self, source_version: str) -> Manifest:
        """Answer every row, put them in order, and leave the manifest beside them."""
        began = time.monotonic()
        with PartWriter(self._target, self._run.origin) as part:
            self._part = part
            if self._ledger is not None:
                self._ledger.begin(self._target)
            if self._ledger is None or self._writes != "text":
                # Its answers are not good any more, or its media are about to be written over.
                mirrors.remove(self._target.manifest_path)
            self._answer_all()
            data_version = self._finish()
            self._tally.seconds = time.monotonic() - began
            return self._target.leave_manifest(
                fingerprint=self._run.shard_fingerprint,
                source=source_version,
                data_version=data_version,
                tally=self._tally,
                engine=self._run.engine_notes(),
                origin=self._run.origin,
                pipeline=self._run.pipeline_name,
            )

    def _finish(self) -> str:
        self._tell()
        data_version = self._part.finish(
            self._tally.rows,
            keep_own=self._ledger is not None,
            keep_others=self._writes == "text",  # media are drawn over
        )
        if self._ledger is not None:
            self._ledger.replaced(self._target)
        return data_version

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
            del self._preparing[work.number]
            if len(self._saver):  # not left until the engine's next answer
                for saved in self._saver.saved():
                    self._keep(*saved)
            if isinstance(request, RowError):
                overtaken = next(iter(self._preparing), work.number) < work.number
                self._fail(work, request, undecided=overtaken + self._at_engine())
            else:
                self._waiting[work.number] = work
                yield request
                self._pause()
        self._part.flush()

    def _open_work(self) -> Iterator[Work]:
        """Rows that need the engine; all others are settled on the way."""
        read, tally = self._run.inputs.read, self._tally
        for number, row, mark in self._rows():
            if not number % _TELL_ROWS:
                self._tell()
            for work in read(row, number, mark):
                tally.rows += 1
                if work.digest:
                    if not self._reuse(work):
                        self._preparing[work.number] = None
                        yield work
                elif work.error is not None:
                    undecided = len(self._preparing) + self._at_engine()
                    self._fail(work, work.error, undecided=undecided)
                elif work.row.get(ERROR) is not None:
                    tally.passed += 1
                    self._part.append(work.number, work.row)
                else:
                    tally.skipped += 1
                    self._part.append(work.number, work.row)

    def _rows(self) -> Iterator[tuple[int, Row, bytes]]:
        """Rows read, their numbers, and the marks of their lines."""
        inputs, source = self._run.inputs, self._source
        if self._writes == "text" and inputs.decided_by_lines and source.is_jsonl:
            yield from changed_rows(source, self._ledger, self._part, self._copied)
            return
        for number, row in enumerate(inputs.looked_up(source.rows())):
            yield number, row, b""

    def _copied(self, rows: int) -> None:
        """So many rows were taken over as they stand."""
        self._tally.rows += rows
        self._tally.reused += rows
        self._run.proven = self._run.proven or rows > 0
        self._tell()

    def _pause(self) -> None:
        """The engine asks for more and may be long: what it gave goes to disk before, if it is new.

        An engine that answers faster than `_PAUSE_S` is not held up by it; `Flusher` sees to it.
        """
        now = time.monotonic()
        if now - self._paused_at > _PAUSE_S:
            self._paused_at = now
            self._part.flush()
            self._tell()

    def _at_engine(self) -> int:
        """How many earlier rows may still turn out well."""
        return len(self._waiting) + len(self._saver)

    def _reuse(self, work: Work) -> bool:
        ledger = self._ledger
        if ledger is None or ledger.is_empty:
            return False
        known = ledger.following(work.digest)
        if known is not None and self._take(work, known):
            return True
        for other in ledger.search(work.digest):
            if self._take(work, other):
                ledger.use(other)
                return True
        return False

    def _take(self, work: Work, known: Known) -> bool:
        """Whether an earlier answer could be made this row's."""
        line = self._line_of(work, known)
        if line is None:
            return False
        self._part.append_line(work.number, line, work.digest, work.mark)
        self._tally.reused += 1
        self._run.proven = True
        return True

    def _line_of(self, work: Work, known: Known) -> bytes | None:
        """The row with an earlier answer, encoded; None: it cannot be taken."""
        if self._writes == "text" and known.file.column == self._column:
            answered = known.line_from_key()  # as it stands: decoded and encoded it is the same
            if answered is not None:
                work.row.pop(self._newest, None)
                return encode(work.row)[:-1] + answered
        value = known.answer()
        if value is not None and self._writes != "text" and self._writes in value:
            value = self._saver.taken_over(work.row, value, known.file.folder)
        return None if value is None else encode(self._answered(work, value)) + b"\n"

    def _settle(self, number: int, answer: Answer | RowError) -> None:
        work = self._waiting.pop(number, None)
        if work is None:
            raise RowsMismatchError(
                f"{self._target.path}: row {number} was answered twice, or was not asked"
            )
        if isinstance(answer, RowError):
            self._fail(work, answer, undecided=0)
        elif self._writes == "text" and answer.text is not None:
            self._keep(work, {"text": answer.text, **answer.details})
        elif (self._writes == "image" and answer.picture is not None) or (
            self._writes == "video" and answer.clip is not None
        ):
            for saved in self._saver.save(work, answer):
                self._keep(*saved)
        else:
            raise RowsMismatchError(
                f"{self._target.path}: the answer to row {number} has no {self._writes}"
            )

    def _keep(self, work: Work, value: dict[str, Any] | RowError) -> None:
        if isinstance(value, RowError):
            self._fail(work, value, undecided=0)
            return
        self._tally.computed += 1
        self._tally.tokens += value.get("prompt_tokens", 0) + value.get("completion_tokens", 0)
        self._run.proven = True
        self._part.append(work.number, self._answered(work, value), work.digest, work.mark)

    def _answered(self, work: Work, value: dict[str, Any]) -> Row:
        """The row, ending in its key, the step's answer, and what is newest by it."""
        row = work.row
        row.pop(self._newest, None)
        row[KEY] = work.digest.hex()
        row[self._column] = value
        row[self._newest] = (
            value["text"] if self._writes == "text" else self._saver.address_of(value)
        )
        return row

    def _fail(self, work: Work, error: RowError, *, undecided: int) -> None:
        """Record a row's error; `undecided` rows that were tried before it may yet be answered."""
        if work.digest:
            work.row[KEY] = work.digest.hex()
        work.row[ERROR] = error.as_column(self._run.step.asset)
        self._tally.count_error(error.kind)
        self._part.append(work.number, work.row)
        failures = self._run.failures
        failures[error.kind] += 1
        alike = failures[error.kind] >= HOPELESS_AFTER and len(failures) == 1
        if alike and not undecided and not self._is_proven():
            raise HopelessStepError(
                f"{self._run.step.asset}: the first {failures[error.kind]} rows tried all failed"
                f" with '{error.kind}'; the last one: {error.message}\n"
                "If rows further on can be answered, say `max_failed: 1` in the pipeline"
            )

    def _is_proven(self) -> bool:
        run = self._run
        run.proven = run.proven or (self._ledger is not None and self._ledger.knows_any())
        return run.proven

    def _tell(self) -> None:
        """Tell of the rows settled since it was last told."""
        tally = self._tally
        settled = tally.rows - len(self._preparing) - self._at_engine()
        rows, failed = settled - self._told_rows, tally.failed - self._told_failed
        if rows or failed:
            self._told_rows, self._told_failed = settled, tally.failed
            self._run.progress.advance(rows, failed)
