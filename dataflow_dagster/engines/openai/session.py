"""An HTTP API behind the face of a session: many requests in flight, one thread for all of them."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import RowError

T = TypeVar("T")
Done = SimpleQueue[tuple[int, Answer | Exception]]


class Service(Protocol):
    """A server that is asked over the network; all of it runs in the session's event loop."""

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`; read from any thread."""
        ...

    async def ask(self, request: Request) -> Answer:
        """The server's answer to one request, retries included.

        Raises:
            RowError: It costs this row.
            Exception: Any other ends the shard.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class ApiSession:
    """Answers come as the server gives them.

    Args:
        service: Asked in an event loop that has a thread of its own.
        max_num_seqs: So many requests are in flight at most; no more are taken from the step.
    """

    def __init__(self, service: Service, max_num_seqs: int) -> None:
        self._service = service
        self._most = max_num_seqs
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="api", daemon=True)
        self._thread.start()

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`."""
        return self._service.notes

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`.

        Before an error that ends the shard, all answers that have come in are given.
        """
        flight: dict[int, Future[None]] = {}
        done: Done = SimpleQueue()
        try:
            for request in requests:
                flight[request.number] = self._submit(self._answer(request, done))
                yield from _landed(flight, done, wait=len(flight) >= self._most)
            while flight:
                yield from _landed(flight, done, wait=True)
        finally:
            if flight:
                self._submit(_end_tasks()).result()

    def close(self) -> None:
        """Give up what is in flight, close the connections and end the thread."""
        self._submit(_end_tasks()).result()
        self._submit(self._service.close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _answer(self, request: Request, done: Done) -> None:
        answer: Answer | Exception
        try:
            answer = await self._service.ask(request)
        except Exception as fault:  # noqa: BLE001  # told apart where it leaves the queue
            answer = fault
        done.put((request.number, answer))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _landed(flight: dict[int, Future[None]], done: Done, *, wait: bool) -> Iterator[Answered]:
    """Every answer that is there; with `wait` at least one.

    Raises:
        Exception: What ends the shard, after the answers.
    """
    fatal: Exception | None = None
    while wait or not done.empty():
        number, answer = done.get()
        wait = False
        del flight[number]
        if isinstance(answer, (Answer, RowError)):
            yield number, answer
        else:
            fatal = fatal or answer
    if fatal is not None:
        raise fatal


async def _end_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
