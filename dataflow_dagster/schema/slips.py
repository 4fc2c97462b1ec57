"""A slip of the pen in a YAML text: as PyYAML tells it, and as a person is told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """What PyYAML says; lines and columns count from 0.

    Attributes:
        start: Line of what PyYAML was reading, such as the quote that is not closed.
    """

    lines: list[str]
    line: int
    column: int
    start: int
    problem: str
    context: str

    @property
    def text(self) -> str:
        """The faulty line."""
        return self.lines[self.line]

    @property
    def indent(self) -> int:
        """Columns before the faulty line's first sign."""
        return len(self.text) - len(self.text.lstrip())

    def above(self) -> int | None:
        """The line before that is neither blank nor a comment."""
        for number in range(self.line - 1, -1, -1):
            if self.lines[number].strip() and not self.lines[number].lstrip().startswith("#"):
                return number
        return None


@dataclass(frozen=True, slots=True)
class Finding:
    """The fault in plain words; line and column from 0; `right`: how it should be written."""

    line: int
    column: int
    message: str
    right: tuple[str, ...] = ()
