"""Making requests of rows: media are decoded in processes beside the engine."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from dataflow_dagster.decoding.decoders import Decoders, can_travel
from dataflow_dagster.engines.session import Request
from dataflow_dagster.media.fetching import Fetcher, MediaRules
from dataflow_dagster.media.hosts import shown
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.places import is_url
from dataflow_dagster.rows import RowError
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.prepare import map_ahead

AHEAD_OF_A_REPLICA: Final = 8
"""So many more for each copy of the model beyond the first."""
FETCH_AHEAD: Final = 64
FETCHES: Final = 32
_MOST_WORKERS: Final = 16

Prepared = tuple[Work, Request | RowError]


R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A row whose medium lies on this machine.

    Attributes:
        given: What the model gets; or why the medium is not here.
        copies: URL → the copy made of what is behind it, which goes when it is decoded.
    """

    work: Work
    given: Given | RowError
    copies: Mapping[str, Path] = field(default_factory=dict[str, Path])

    def answered(self, request: Request | RowError) -> Prepared:
        """The row's request, the copies being gone."""
        return self.work, self.cleaned(request)

    def cleaned(self, request: R) -> R | RowError:
        """An error names media as the row does."""
        for path in self.copies.values():
            path.unlink(missing_ok=True)
        if not self.copies or not isinstance(request, RowError):
            return request
        said = request.message
        for url, path in self.copies.items():
            said = said.replace(str(path), shown(url))
        return RowError(request.kind, said)


class Preparer:
    """Makes the requests of one step.

    Texts need no other thread. Media are decoded in processes of their own, which a crash or a
    hang costs one row; a model that only this process knows, being defined in a script, decodes
    in threads without that.

    Args:
        pipeline: Says how long a row's medium may take.
        step: Its model makes the requests.
        given: What the model gets of a row.
        fetcher: Gets media that lie elsewhere.
    """

    def __init__(
        self,
        pipeline: PipelineSpec,
        step: StepSpec,
        given: Callable[[Work], Given],
        fetcher: Fetcher,
    ) -> None:
        self._given = given
        self._fetcher = fetcher
        self._request: Callable[[Given], Request] = step.config.request
        self._texts = step.config.reads == "text"
        self._workers = workers(step)
        self._ahead = step.config.ahead + AHEAD_OF_A_REPLICA * (step.copies - 1)
        self._limit_s = pipeline.media_timeout
        self._fetching = ThreadPoolExecutor(FETCHES, thread_name_prefix="fetch")
        self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="prepare")
        self._decoders: Decoders[Given, Request] | None = None

    def prepare(self, work: Iterator[Work]) -> Iterator[Prepared]:
        """One request, or why there is none, for each; in order but for rows that take long."""
        if self._texts:
            return map(self._here, work)
        begin = self._in_process if can_travel(self._request) else self._in_thread
        return map_ahead(begin, map_ahead(self._fetched, work, FETCH_AHEAD), self._ahead)

    def close(self) -> None:
        """End what is under way."""
        if self._decoders is not None:
            self._decoders.close()
        for threads in (self._fetching, self._threads):
            threads.shutdown(wait=True, cancel_futures=True)

    def _here(self, work: Work) -> Prepared:
        return work, self._made(self._given(work))

    def _made(self, given: Given) -> Request | RowError:
        try:
            return self._request(given)
        except RowError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the edge where a row's failure is recorded
            return RowError("unreadable", f"{type(error).__name__}: {error}")

    def _fetched(self, work: Work) -> Future[_Fetched]:
        given = self._given(work)
        if _elsewhere(given):
            return self._fetching.submit(self._fetch, work, given)
        return _done(_Fetched(work, given))

    def _fetch(self, work: Work, given: Given) -> _Fetched:
        copies: dict[str, Path] = {}
        try:
            for url in _elsewhere(given).values():
                copies[url] = self._fetcher.local_copy(url)
        except RowError as error:
            return _Fetched(work, _Fetched(work, given, copies).cleaned(error))
        here: dict[str, Any] = {name: str(copies[url]) for name, url in _elsewhere(given).items()}
        return _Fetched(work, given._replace(**here), copies)

    def _in_thread(self, fetched: _Fetched) -> Future[Prepared]:
        if isinstance(fetched.given, RowError):
            return _done((fetched.work, fetched.given))
        given = fetched.given
        return self._threads.submit(lambda: fetched.answered(self._made(given)))

    def _in_process(self, fetched: _Fetched) -> Future[Prepared]:
        if isinstance(fetched.given, RowError):
            return _done((fetched.work, fetched.given))
        if self._decoders is None:
            self._decoders = Decoders(self._request, workers=self._workers, limit_s=self._limit_s)
        return self._decoders.submit(fetched.given, fetched.work.value or "", fetched.answered)


def media_rules(pipeline: PipelineSpec) -> MediaRules:
    """What the pipeline says of media that lie elsewhere."""
    most_bytes = pipeline.media_limit_mb << 20
    return MediaRules(pipeline.allowed_hosts, most_bytes, pipeline.media_timeout)


def workers(step: StepSpec) -> int:
    """How many decoding processes: one for each core the step may use, 2 to 16."""
    stated = step.resources.cpus
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(2, min(int(stated) if stated else cores or 2, _MOST_WORKERS))


def _elsewhere(given: Given) -> dict[str, str]:
    """The fields that hold a URL, and it."""
    media = {name: getattr(given, name, None) for name in ("image", "video")}
    return {name: value for name, value in media.items() if value and is_url(value)}


def _done(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future
