"""vLLM's engine within this process, stepped by hand: quick to start, for CPUs."""

import os
from collections.abc import Callable
from typing import Any

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


def _take_process() -> Callable[[], None]:
    """Hold torch to OMP_NUM_THREADS, which comes too late where torch was imported before.

    Returns:
        What puts back torch's threads, and the CPUs that vLLM binds this process to.
    """
    import torch

    cpus, threads = os.sched_getaffinity(0), torch.get_num_threads()
    set_num_threads = torch.set_num_threads  # vLLM replaces it
    if (wanted := os.environ.get("OMP_NUM_THREADS", "")).isdecimal():
        set_num_threads(int(wanted))

    def give_back() -> None:
        os.sched_setaffinity(0, cpus)
        torch.set_num_threads = set_num_threads
        set_num_threads(threads)

    return give_back


class InsideCore:
    """Works only while `finished` is called with `wait`: one step of all running requests."""

    def __init__(self, engine: Engine, settings: LanguageSettings) -> None:
        from vllm import EngineArgs, LLMEngine

        cpus = os.sched_getaffinity(0)
        self._give_back_process = _take_process()
        self._settings = settings
        arguments = EngineArgs(**engine_arguments(engine, settings))
        try:
            self._engine = LLMEngine.from_engine_args(arguments)
        except BaseException:
            self._give_back_process()
            raise
        # vLLM binds us to the CPUs of its own threads; what decodes pictures would inherit that,
        # and take its turns on the engine's one core (measured: no overlap at all).
        os.sched_setaffinity(0, cpus)
        self._limit = self._engine.model_config.max_model_len
        self._waiting: set[str] = set()
        self._refused: list[Answered] = []
        self._blame = Blame()

    def add(self, request: Request) -> None:
        """See `Core.add`; the picture is prepared here."""
        name, parameters = str(request.number), sampling_parameters(request, self._settings)
        try:
            self._engine.add_request(
                name,
                prompt_of(request),
                parameters,
                tokenization_kwargs=tokenization(self._settings),
            )
        except Exception as fault:  # noqa: BLE001  # a processor raises anything for a bad row
            self._refused.append((request.number, refusal(fault, self._limit, self._blame)))
        else:
            self._waiting.add(name)

    def finished(self, *, wait: bool) -> list[Answered]:
        """See `Core.finished`."""
        done, self._refused = self._refused, []
        while wait and not done and self._waiting:
            outputs: list[Any] = self._engine.step()
            done = [(int(output.request_id), read_output(output)) for output in outputs]
        self._waiting.difference_update(str(number) for number, _ in done)
        self._blame.proven = self._blame.proven or any(
            isinstance(answer, Answer) for _, answer in done
        )
        return done

    def abort(self) -> None:
        """See `Core.abort`."""
        self._engine.abort_request(list(self._waiting))
        self._waiting.clear()
        self._refused.clear()

    def close(self) -> None:
        """See `Core.close`; vLLM's process groups go too, so that another engine can be opened."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self.abort()
        self._engine.renderer.shutdown()
        self._engine.engine_core.shutdown()
        del self._engine
        cleanup_dist_env_and_memory()
        self._give_back_process()
