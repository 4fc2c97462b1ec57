"""Making requests of rows: media are decoded in processes beside the engine."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

from dataflow_dagster.engines.session import Request
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.rows import RowError
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.decoders import Decoders, can_travel
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.prepare import map_ahead

AHEAD: Final = 32
AHEAD_OF_A_REPLICA: Final = 8
"""So many more for each copy of the model beyond the first."""
_MOST_WORKERS: Final = 16

Prepared = tuple[Work, Request | RowError]


class Preparer:
    """Makes the requests of one step.

    Texts need no other thread. Media are decoded in processes of their own, which a crash or a
    hang costs one row; a model that only this process knows, being defined in a script, decodes
    in threads without that.

    Args:
        pipeline: Says how long a row's medium may take.
        step: Its model makes the requests.
        given: What the model gets of a row.
    """

    def __init__(
        self, pipeline: PipelineSpec, step: StepSpec, given: Callable[[Work], Given]
    ) -> None:
        self._given = given
        self._request: Callable[[Given], Request] = step.config.request
        self._texts = step.config.reads == "text"
        self._workers = workers(step)
        self._ahead = AHEAD + AHEAD_OF_A_REPLICA * (step.copies - 1)
        self._limit_s = pipeline.media_timeout
        self._threads: ThreadPoolExecutor | None = None
        self._decoders: Decoders[Given, Request] | None = None

    def prepare(self, work: Iterator[Work]) -> Iterator[Prepared]:
        """One request, or why there is none, for each; in order but for rows that take long."""
        if self._texts:
            return map(self._here, work)
        if can_travel(self._request):
            return map_ahead(self._in_process, work, self._ahead)
        return map_ahead(self._in_thread, work, self._ahead)

    def close(self) -> None:
        """End what is under way."""
        if self._decoders is not None:
            self._decoders.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def _here(self, work: Work) -> Prepared:
        try:
            return work, self._request(self._given(work))
        except RowError as error:
            return work, error
        except Exception as error:  # noqa: BLE001  # the edge where a row's failure is recorded
            return work, RowError("unreadable", f"{type(error).__name__}: {error}")

    def _in_thread(self, work: Work) -> Future[Prepared]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="prepare")
        return self._threads.submit(self._here, work)

    def _in_process(self, work: Work) -> Future[Prepared]:
        if self._decoders is None:
            self._decoders = Decoders(self._request, workers=self._workers, limit_s=self._limit_s)
        given = self._given(work)
        return self._decoders.submit(given, str(given.image), partial(_beside, work))


def workers(step: StepSpec) -> int:
    """How many decoding processes: one for each core the step may use, 2 to 16."""
    stated = step.resources.cpus
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(2, min(int(stated) if stated else cores or 2, _MOST_WORKERS))


def _beside(work: Work, request: Request | RowError) -> Prepared:
    return work, request
