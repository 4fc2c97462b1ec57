"""Whose fault an exception is: a row's, which costs that row, or the engine's, which ends all."""

from typing import Final

from dataflow_dagster.rows import RowError

SAME_FAULTS: Final = 4
"""So many rows failing alone and alike, before any was answered, prove the engine at fault."""


class Blame:
    """Remembers how the rows of one session failed.

    Attributes:
        proven: True once any row was answered; from then on the engine is known to work.
    """

    def __init__(self) -> None:
        self.proven = False
        self._seen: dict[str, int] = {}

    def row_error(self, fault: Exception) -> RowError:
        """The error of the row that raised `fault` while no other row was at work.

        Raises:
            Exception: `fault` itself, where it is the engine's.
        """
        if is_engine_fault(fault):
            raise fault
        seen = self._seen[repr(fault)] = self._seen.get(repr(fault), 0) + 1
        if seen >= SAME_FAULTS and not self.proven:
            raise fault
        return RowError("refused", f"the engine refused it: {type(fault).__name__}: {fault}")


def is_engine_fault(fault: Exception) -> bool:
    """True for what no row can cause: out of memory, a device or disk gone."""
    import torch

    return isinstance(fault, (MemoryError, OSError, torch.OutOfMemoryError, torch.AcceleratorError))
