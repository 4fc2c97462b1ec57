"""Engines that work by batch: one computes while the next is gathered and the last is written."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from dataflow_dagster.engines.blame import Blame, is_engine_fault
from dataflow_dagster.engines.session import Answered, Request
from dataflow_dagster.rows import RowError

AnswerBatch = Callable[[Sequence[Request]], list[Answered]]
"""Answers each request of a batch once, in any order."""


def answer_batches(
    requests: Iterator[Request], size: int, answer: AnswerBatch
) -> Iterator[Answered]:
    """Answer `requests` in batches of `size`, at most two of which are held at once.

    The batch is computed in a thread of its own, while the caller's thread gathers the next one
    and writes the answers of the last one.
    """
    pending: Future[list[Answered]] | None = None
    with ThreadPoolExecutor(1, "engine") as engine:
        while batch := list(islice(requests, size)):
            done = pending.result() if pending else []
            pending = engine.submit(answer, batch)
            yield from done
        yield from pending.result() if pending else []


class Isolation:
    """Runs batches and finds the rows that spoil them.

    A batch that raises is run again row by row, so that a row which fails alone gets its own
    error and its neighbours are answered. What `Blame` puts on the engine goes on.
    """

    def __init__(self, answer: AnswerBatch) -> None:
        self._answer = answer
        self._blame = Blame()

    def answers(self, batch: Sequence[Request]) -> list[Answered]:
        """One answer or error for each request of `batch`."""
        try:
            answered = self._answer(batch)
        except Exception as fault:  # libraries raise anything, even StopIteration
            if is_engine_fault(fault):
                raise
            answered = [pair for request in batch for pair in self._answer_alone(request)]
        if any(not isinstance(answer, RowError) for _, answer in answered):
            self._blame.proven = True
        return answered

    def _answer_alone(self, request: Request) -> list[Answered]:
        try:
            return self._answer([request])
        except Exception as fault:  # noqa: BLE001  # the edge where a row's failure is recorded
            return [(request.number, self._blame.row_error(fault))]
