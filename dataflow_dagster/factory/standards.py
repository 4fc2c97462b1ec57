"""What a step's answers are held to: one asset check each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from dataflow_dagster.factory.tables import table
from dataflow_dagster.schema.checks import Length
from dataflow_dagster.schema.pipeline import StepSpec
from dataflow_dagster.steps.review import Review, sum_of_reviews

MOST_SHARDS: Final = 10

_WORDS = {"text": "texts", "image": "pictures", "video": "videos"}
_REPEATED = {"text": 0.5, "image": 0.01, "video": 0.01}
"""Shares of equal answers that are no reason to warn: short captions of like pictures are alike,
drawings of one caption with other seeds are not."""


@dataclass(frozen=True, slots=True)
class Standard:
    """A share of answers that may be so, and no more.

    Attributes:
        name: The check's name.
        finding: What is counted, as in `Review`.
        said: ``are empty``; begins what is said of those counted.
        words: ``texts``; what is counted.
        allowed: Above this share the check fails.
        blocking: It then stops what lies below.
    """

    name: str
    finding: str
    said: str
    words: str
    allowed: float
    blocking: bool

    def spec(self, asset: dg.AssetKey) -> dg.AssetCheckSpec:
        """The check, known before the asset is made."""
        does = "Stops" if self.blocking else "Warns"
        said = f"{does} where more than {_percent(self.allowed)} of the {self.words} {self.said}."
        return dg.AssetCheckSpec(self.name, asset=asset, blocking=self.blocking, description=said)

    def verdict(
        self, asset: dg.AssetKey, reviews: Mapping[str | None, Review]
    ) -> dg.AssetCheckResult:
        """Whether the share is kept, with the numbers and a few examples.

        Args:
            asset: The asset's key.
            reviews: Of its shards, by partition key; they are judged together.
        """
        found = sum_of_reviews(reviews.values())
        count = found.findings.get(self.finding, 0)
        share = count / found.answers if found.answers else 0.0
        said = f"{count} of {found.answers} {self.words} {self.said} ({_percent(share)})"
        passed = share <= self.allowed
        over = "" if passed else f", more than {_percent(self.allowed)}"
        return dg.AssetCheckResult(
            asset_key=asset,
            check_name=self.name,
            passed=passed,
            severity=(dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN),
            description=said + over,
            metadata=self._shown(found, count, share) | self._worst(reviews),
        )

    def _shown(self, found: Review, count: int, share: float) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "found": count,
            "answers": found.answers,
            "share": round(share, 6),
            "allowed": self.allowed,
        }
        examples = found.examples.get(self.finding, [])
        if examples:
            shown["examples"] = dg.MetadataValue.md(table(["id", "answer"], examples))
        if self.finding == "repeated" and found.common and self.words == "texts":
            common = [[rows, answer] for answer, rows in found.common]
            shown["most_common"] = dg.MetadataValue.md(table(["rows", "text"], common))
        return shown

    def _worst(self, reviews: Mapping[str | None, Review]) -> dict[str, Any]:
        counts = {
            key: (review.findings.get(self.finding, 0), review.answers)
            for key, review in reviews.items()
        }
        return worst_shards(counts, "found")


def standards(step: StepSpec) -> list[Standard]:
    """Those every step has for its medium, and those its ``checks`` ask for."""
    words, blocking = _WORDS[step.config.writes], step.checks.blocking
    return [
        Standard(name, finding, said, words, allowed, blocking)
        for name, finding, said, allowed in _asked(step)
        if allowed is not None
    ]


def worst_shards(counts: Mapping[str | None, tuple[int, int]], head: str) -> dict[str, Any]:
    """A table of the shards where most was found, as metadata; none of one shard, or of nothing.

    Args:
        counts: Partition key → how much was found, and of how many.
        head: Says what was found.
    """
    found = sorted((count for count in counts.items() if count[1][0]), key=lambda at: -at[1][0])
    if len(counts) < 2 or not found:
        return {}
    rows = [[key, count, of] for key, (count, of) in found[:MOST_SHARDS]]
    return {"shards_with_most": dg.MetadataValue.md(table(["shard", head, "of"], rows))}


def _asked(step: StepSpec) -> Iterator[tuple[str, str, str, float | None]]:
    medium, asked = step.config.writes, step.checks
    words = _WORDS[medium]
    repeated = _REPEATED[medium] if asked.repeated is None else asked.repeated
    if medium == "text":
        yield f"empty_{words}", "empty", "are empty", asked.empty
    if medium == "image":
        yield f"blank_{words}", "blank", "are of one colour", asked.blank
    yield f"repeated_{words}", "repeated", "are equal to another row's", repeated
    if medium == "text":
        length = asked.length
        yield "lengths", "length", _bounds(length), None if length is None else length.share
        yield "echoes", "echo", "only repeat the prompt", asked.echo
        yield "refusals", "refusals", "decline to answer", asked.refusals


def _bounds(length: Length | None) -> str:
    if length is None or length.most is None:
        return f"have fewer than {0 if length is None else length.least} characters"
    return f"have not {length.least} to {length.most} characters"


def _percent(share: float) -> str:
    return f"{share:.4g}" if 0 < share < 0.0001 else f"{share * 100:.4g}%"
