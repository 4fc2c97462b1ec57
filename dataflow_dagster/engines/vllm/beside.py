"""vLLM's engine in processes of its own, which work while this one prepares and writes."""

import asyncio
import os
import tempfile
from collections.abc import Coroutine
from multiprocessing import active_children
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from dataflow_dagster.engines.blame import Blame
from dataflow_dagster.engines.language import LanguageSettings
from dataflow_dagster.engines.session import Answer, Answered, Engine, Request
from dataflow_dagster.engines.vllm.terms import (
    engine_arguments,
    prompt_of,
    read_output,
    refusal,
    sampling_parameters,
    tokenization,
)

if TYPE_CHECKING:
    from dataflow_dagster.rows import RowError

T = TypeVar("T")
PREPARING_THREADS = 4
"""Threads in which vLLM decodes prompts and prepares pictures beside the engine."""

_SOCKETS = "VLLM_RPC_BASE_PATH"
_LONGEST_FOLDER = 107 - 36 - 1


class BesideCore:
    """The engine's event loop has a thread of its own; answers come back through a queue."""

    def __init__(self, engine: Engine, settings: LanguageSettings) -> None:
        from vllm import AsyncEngineArgs, AsyncLLMEngine

        _shorten_sockets()
        arguments = AsyncEngineArgs(
            **engine_arguments(engine, settings), renderer_num_workers=PREPARING_THREADS
        )
        self._settings = settings
        self._engine = AsyncLLMEngine.from_engine_args(arguments)
        self._limit = self._engine.model_config.max_model_len
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        self._waiting: set[int] = set()
        self._done: SimpleQueue[tuple[int, Answer | RowError | Exception]] = SimpleQueue()
        self._blame = Blame()

    def add(self, request: Request) -> None:
        """See `Core.add`; the picture is prepared in vLLM's threads."""
        self._waiting.add(request.number)
        asyncio.run_coroutine_threadsafe(self._answer(request), self._loop)

    def finished(self, *, wait: bool) -> list[Answered]:
        """See `Core.finished`."""
        done: list[Answered] = []
        while not self._done.empty() or (wait and not done and self._waiting):
            number, answer = self._done.get()
            self._waiting.discard(number)
            if isinstance(answer, Exception):
                answer = refusal(_cause(answer), self._limit, self._blame)
            self._blame.proven = self._blame.proven or isinstance(answer, Answer)
            done.append((number, answer))
        return done

    def abort(self) -> None:
        """See `Core.abort`."""
        if not self._engine.errored:
            self._run(self._engine.abort([str(number) for number in self._waiting]))
        while self._waiting:  # aborted ones report too, so nothing is left for the next shard
            self._waiting.discard(self._done.get()[0])

    def close(self) -> None:
        """See `Core.close`."""
        self._engine.shutdown()
        self._run(_end_tasks())
        del self._engine
        active_children()  # takes leave of the processes that have ended
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _answer(self, request: Request) -> None:
        answer: Answer | RowError | Exception = RuntimeError("vLLM gave no answer")
        try:
            async for output in self._engine.generate(
                prompt_of(request),
                sampling_parameters(request, self._settings),
                str(request.number),
                tokenization_kwargs=tokenization(self._settings),
            ):
                answer = read_output(output)
        except Exception as fault:  # noqa: BLE001  # told apart where it leaves the queue
            answer = fault
        self._done.put((request.number, answer))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _cause(fault: Exception) -> Exception:
    """What vLLM's preparation of a request raised, which reaches us wrapped."""
    return fault.__cause__ if isinstance(fault.__cause__, Exception) else fault


def _shorten_sockets() -> None:
    """Have vLLM's sockets where they can be: a path has 107 characters at most, their names 36."""
    if len(os.environ.get(_SOCKETS, tempfile.gettempdir())) > _LONGEST_FOLDER:
        os.environ[_SOCKETS] = "/tmp"  # their names are random


async def _end_tasks() -> None:
    """Wait for what the engine's shutdown cancelled."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
