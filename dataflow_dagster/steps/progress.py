"""Telling how far a step is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Told of rows as they are written."""

    def advance(self, rows: int, failed: int) -> None:
        """So many more rows are written, of which so many failed at this step."""
        ...

    def say(self, what: str) -> None:
        """Something worth a line in the run's log."""
        ...


class Silent:
    """Tells nobody."""

    def advance(self, rows: int, failed: int) -> None:
        """Nothing."""

    def say(self, what: str) -> None:
        """Nothing."""
