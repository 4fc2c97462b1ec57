"""A device's memory that runs out: smaller batches, and what to turn where they do not help."""

import gc
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from dataflow_dagster.engines.errors import EngineMemoryError
from dataflow_dagster.engines.session import Answered, Request
from dataflow_dagster.rows import RowError

LARGE_ROWS: Final = 4
"""So many rows that do not fit alone, before any was answered, prove that none will."""

_SIGNS: Final = (
    "out of memory",
    "DefaultCPUAllocator: can't allocate memory",
    "ALLOC_FAILED",
    "No available memory for the cache blocks",
    "larger than the available KV cache memory",
    "Free memory on device",
    "Engine core initialization failed",  # vLLM's own words, mostly for this, are in its log
)


class Fitting:
    """Answers batches that fit, halving the size when memory runs out; it stays so.

    Args:
        answer: Answers a batch of at most `size` requests.
        size: What to begin with.
        keys: Config keys that make a single row need less, for the message.

    Attributes:
        size: The most requests of a batch by now.
    """

    def __init__(
        self, answer: Callable[[Sequence[Request]], list[Answered]], size: int, keys: str
    ) -> None:
        self.size = self._asked = size
        self._answer = answer
        self._keys = keys
        self._too_large = 0
        self._proven = False

    @property
    def notes(self) -> Mapping[str, str]:
        """See `Noting.notes`."""
        if self.size == self._asked:
            return {}
        return {"batch_size": f"{self.size} instead of {self._asked}: memory ran out"}

    def answers(self, batch: Sequence[Request]) -> list[Answered]:
        """One answer or error for each request.

        Raises:
            EngineMemoryError: Not even single rows fit.
            Exception: What `answer` raises beside.
        """
        answered: list[Answered] = []
        while rest := batch[len(answered) :]:
            part = rest[: self.size]
            done = self._try(part)
            if done is not None:
                answered += done
            elif self.size > 1:
                self.size //= 2
            else:
                answered.append((part[0].number, self._too_large_row()))
        return answered

    def _try(self, part: Sequence[Request]) -> list[Answered] | None:
        """None where memory ran out; what the attempt had taken is free again."""
        try:
            done = self._answer(part)
        except Exception as fault:
            if not is_out_of_memory(fault):
                raise
            done = None
        if done is None:  # outside of `except`, where the fault holds the frames and their tensors
            free_memory()
        else:
            self._proven = True
        return done

    def _too_large_row(self) -> RowError:
        self._too_large += 1
        said = f"a single row does not fit into the device's memory; turn {self._keys}"
        if not self._proven and self._too_large >= LARGE_ROWS:
            raise EngineMemoryError(said)
        return RowError("out_of_memory", said)


def is_out_of_memory(fault: Exception) -> bool:
    """True for a device that has no memory left, whichever library says so."""
    import torch

    if isinstance(fault, torch.OutOfMemoryError):
        return True
    return isinstance(fault, (RuntimeError, ValueError)) and any(
        sign in str(fault) for sign in _SIGNS
    )


def free_memory() -> None:
    """Give back what is no longer used, and what torch keeps for reuse."""
    import torch

    gc.collect()  # modules and faults refer to themselves in circles
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def loading_memory(keys: str) -> Generator[None]:
    """Tell which keys to turn where a model does not fit as it is loaded.

    Raises:
        EngineMemoryError: In place of the library's own.
    """
    try:
        yield
    except Exception as fault:
        if not is_out_of_memory(fault):
            raise
        first = str(fault).strip().split("\n")[0]
        raise EngineMemoryError(
            f"the model does not fit into the device's memory ({first}); turn {keys}"
        ) from fault
