"""What was found in the rows of a finished shard, kept beside it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dataflow_dagster.rows import decode, encode
from dataflow_dagster.wholes import write_whole

EXAMPLES = 3
MOST_COMMON = 5


@dataclass(frozen=True, slots=True)
class Review:
    """Numbers and examples of one shard, or of several together.

    Attributes:
        data_version: The rows that were looked at.
        rules: What they were looked at for; another hash, another look.
        rows: How many there are.
        ids: Hash of their ids in order.
        read_ids: Hash of the ids of the rows read, in order: an answer's id without its repeat;
            empty where the answers of a row do not stand together in order.
        answers: Rows with an answer of this step.
        findings: Kind of finding → rows it was found in; see `inspection`.
        examples: Kind of finding → [id, text] of the first few.
        common: [answer, rows that have it], the most common first, none that stands alone.
        characters: Of texts: the shortest, median and longest; empty where there is none.
        failures: {id, kind, message} of some rows that failed at this step, of every kind one.
    """

    data_version: str
    rules: str
    rows: int = 0
    ids: str = ""
    read_ids: str = ""
    answers: int = 0
    findings: dict[str, int] = field(default_factory=dict[str, int])
    examples: dict[str, list[list[str]]] = field(default_factory=dict[str, list[list[str]]])
    common: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    characters: list[int] = field(default_factory=list[int])
    failures: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def write(self, path: Path) -> None:
        """Write to `path` in one step: never seen half."""
        write_whole(path, encode(asdict(self)) + b"\n", synced=False)


def read_review(path: Path) -> Review | None:
    """The review at `path`; None where there is none that can be read."""
    try:
        value: dict[str, Any] = decode(path.read_bytes())
        value["common"] = [(answer, rows) for answer, rows in value["common"]]
        return Review(**value)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def sum_of_reviews(reviews: Iterable[Review]) -> Review:
    """Several shards' counts in one; answers that repeat count within their own shard."""
    total = Review("", "")
    rows = answers = 0
    common: dict[str, int] = {}
    for review in reviews:
        rows, answers = rows + review.rows, answers + review.answers
        for finding, count in review.findings.items():
            total.findings[finding] = total.findings.get(finding, 0) + count
        for finding, examples in review.examples.items():
            known = total.examples.setdefault(finding, [])
            known += examples[: EXAMPLES - len(known)]
        for answer, count in review.common:
            common[answer] = common.get(answer, 0) + count
    most = sorted(common.items(), key=lambda pair: -pair[1])[:MOST_COMMON]
    return Review(
        "", "", rows, answers=answers, findings=total.findings, examples=total.examples, common=most
    )
