"""Captions by vLLM, fed continuously: as one row is answered the next one is taken in."""

import logging
import os
import warnings
from collections.abc import Iterator
from typing import Protocol

from dataflow_dagster.engines.language import (
    LanguageSettings,
    refuse_memory_share,
    refuse_splitting,
)
from dataflow_dagster.engines.memory import loading_memory
from dataflow_dagster.engines.session import Answered, Engine, Request
from dataflow_dagster.engines.vllm.beside import BesideCore
from dataflow_dagster.engines.vllm.inside import InsideCore
from dataflow_dagster.engines.vllm.terms import SMALLER


class Core(Protocol):
    """A running vLLM engine: in this process, or in processes of its own."""

    def add(self, request: Request) -> None:
        """Hand over one request; its answer comes out of `finished`."""
        ...

    def finished(self, *, wait: bool) -> list[Answered]:
        """Answers that are ready; with `wait` the engine may first work on, for one at least."""
        ...

    def abort(self) -> None:
        """Forget all requests that are not answered."""
        ...

    def close(self) -> None:
        """Stop the engine, its threads and its processes."""
        ...


class VllmSession:
    """Answers come as they are finished.

    `max_num_seqs` requests run at a time; `batch_size` more wait, prepared, to take their places.
    """

    def __init__(self, core: Core, settings: LanguageSettings) -> None:
        self._core = core
        self._window = settings.max_num_seqs + settings.batch_size

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        """See `Session.answers`; at most `max_num_seqs` + `batch_size` requests are held."""
        in_flight = 0
        try:
            for request in requests:
                self._core.add(request)
                in_flight += 1
                done = self._core.finished(wait=False)
                while in_flight - len(done) >= self._window:
                    done += self._core.finished(wait=True)
                in_flight -= len(done)
                yield from done
            while in_flight:
                done = self._core.finished(wait=True)
                in_flight -= len(done)
                yield from done
        finally:
            if in_flight:
                self._core.abort()

    def close(self) -> None:
        """Stop the engine; nothing of it is left running."""
        self._core.close()


def open_session(engine: Engine, settings: LanguageSettings) -> VllmSession:
    """Start vLLM with the model; some 5 s for a small one, minutes for billions of weights.

    On a CPU the engine runs within this process unless VLLM_ENABLE_V1_MULTIPROCESSING says
    otherwise: it starts in a fifth of the time of an engine in processes of its own.

    Raises:
        UnfitSettingError: A setting that vLLM cannot honour on this device.
    """
    refuse_memory_share(engine, settings)
    refuse_splitting(engine, settings)
    for name, value in _environment(engine).items():
        os.environ.setdefault(name, value)
    # vLLM takes its level from the environment only after it was imported.
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
    with warnings.catch_warnings():
        # vLLM 0.32 looks at a name that torch 2.13 has deprecated.
        warnings.filterwarnings("ignore", "`torch.distributed.reduce_op`", FutureWarning)
        with loading_memory(SMALLER):
            return VllmSession(_open_core(engine, settings), settings)


def _open_core(engine: Engine, settings: LanguageSettings) -> Core:
    inside = os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    return InsideCore(engine, settings) if inside else BesideCore(engine, settings)


def _environment(engine: Engine) -> dict[str, str]:
    """What vLLM reads from the environment, where the user has not set it."""
    silent = {"VLLM_NO_USAGE_STATS": "1"}
    if engine.device != "cpu":
        return {
            **silent,
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_ENABLE_V1_MULTIPROCESSING": "1",
        }
    return {
        **silent,
        "VLLM_LOGGING_LEVEL": "ERROR",  # warnings there are a screenful that all is as on a CPU
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; else 92 % of the memory, which it then refuses
        "OMP_NUM_THREADS": "1",  # measured in one process: 355 against 40 pictures/s
    }
