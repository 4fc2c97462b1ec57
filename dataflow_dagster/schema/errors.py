"""What is wrong with a pipeline file, told by file, line and key."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KeyPath = tuple[str | int, ...]
"""Where a value stands: ``("steps", 0, "config", "width")``; list entries count from 0."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a YAML text; line and column count from 1, as editors do."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: From 1; None where the file as a whole is meant.
        column: From 1; None where the file as a whole is meant.
        key: ``steps[0].config.width``, list entries counting from 0; empty for the whole file.
        message: What was given and what is allowed. Further lines of it are drawn indented.
    """

    line: int | None
    column: int | None
    key: str
    message: str

    def told_of(self, path: Path) -> str:
        """``data/x.yaml:7: steps[0].config.width: is the text '4', expected a whole number``."""
        where = str(path) if self.line is None else f"{path}:{self.line}"
        parts = [where, self.key, self.message] if self.key else [where, self.message]
        return ": ".join(parts)


class PipelineError(Exception):
    """A pipeline file cannot be used; `problems` holds all that was found, in order of line."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__(path, tuple(problems))
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda at: (at.line or 0, at.column or 0)))

    def __str__(self) -> str:
        return "\n".join(problem.told_of(self.path) for problem in self.problems)


def key_text(at: KeyPath) -> str:
    """``steps[0].config.width`` for ``("steps", 0, "config", "width")``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)
    return text.removeprefix(".")


def problem_at(place: Place | None, at: KeyPath, message: str) -> Problem:
    """A problem with the value or key `at`; without a place, with the file as a whole."""
    if place is None:
        return Problem(None, None, key_text(at), message)
    return Problem(place.line, place.column, key_text(at), message)
