"""What comes to light while one file is read: problems, which refuse it, and warnings."""

from dataclasses import dataclass, field

from dataflow_dagster.schema.document import Document
from dataflow_dagster.schema.errors import KeyPath, Problem


@dataclass(slots=True)
class Findings:
    """Problems and warnings of one document, gathered so that a person sees them all at once."""

    document: Document
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[str] = field(default_factory=list[str])

    def refuse(self, at: KeyPath, message: str) -> None:
        """Note what is wrong with the key `at`; the first problem with a key is the one kept."""
        problem = self.document.problem(at, message)
        if all((problem.line, problem.key) != (known.line, known.key) for known in self.problems):
            self.problems.append(problem)

    def warn(self, at: KeyPath, message: str) -> None:
        """Note what is accepted but should be written otherwise."""
        self.warnings.append(self.document.problem(at, message).told_of(self.document.path))
