"""Devices as a step asks for them, without knowing how a machine shares them out."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Lease:
    """Devices held alone; empty: they are left as they are.

    Attributes:
        devices: In the words of ``CUDA_VISIBLE_DEVICES``.
        files: Open files; the devices are held until no process has any of them open.
    """

    devices: Sequence[str] = ()
    files: Sequence[int] = ()


class Devices(Protocol):
    """Leases what a step needs."""

    def check(self) -> None:
        """Raise where no wait would help: the machine has too few."""
        ...

    def lease(self) -> AbstractContextManager[Lease]:
        """Wait for the devices, and make them those that libraries loaded inside see."""
        ...


class AsTheyAre:
    """Leases nothing."""

    def check(self) -> None:
        """Nothing to hold against."""

    def lease(self) -> AbstractContextManager[Lease]:
        """See `Devices.lease`."""
        return nullcontext(Lease())
