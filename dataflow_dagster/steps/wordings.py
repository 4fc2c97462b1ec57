"""What is wrong with a text at first sight: nothing said, an echo, a refusal, an odd length."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from dataflow_dagster.schema.pipeline import StepSpec

_SAYS_SOMETHING = re.compile(r"[^\W_]")
_WORDS = re.compile(r"[^\W_]+")

_REFUSAL = re.compile(
    r"\b(i'?m|i am|we'?re) (very |really |truly )?(sorry|afraid)\b"
    r"|\bi (apologi[sz]e|regret)\b"
    r"|\b(i|we) (cannot|can not|can't|could not|couldn't|won't|will not|do not|don't) (\w+ )?"
    r"(assist|help|comply|describe|identify|fulfil|provide|process|view|see|create|generate)"
    r"|\b(i|we)('m| am| are|'re) (unable|not able)\b"
    r"|\bas an? (ai|artificial|large language|language)\b"
    r"|(抱歉|对不起|很遗憾).{0,12}(无法|不能)|作为(一个|一名)?(人工智能|ai|语言模型)"
)
_LOOKED_AT = 200
"""A refusal comes first; further on the same words are part of what is told."""


@dataclass(frozen=True, slots=True)
class TextRules:
    """What texts of one step are looked at for.

    Attributes:
        prompt: The step's prompt; empty where it has none.
        echo: Texts that only repeat it are found.
        refusals: Texts that decline are found.
        least: Texts of fewer characters are found.
        most: Those of more, too; None: no bound.
    """

    prompt: str
    echo: bool
    refusals: bool
    least: int
    most: int | None

    @classmethod
    def of(cls, step: StepSpec) -> Self:
        """The rules that a step's ``checks`` ask for."""
        asked = step.checks
        return cls(
            prompt=_words(str(_prompt(step.config) or "")),
            echo=asked.echo is not None,
            refusals=asked.refusals is not None,
            least=0 if asked.length is None else asked.length.least,
            most=None if asked.length is None else asked.length.most,
        )

    def findings(self, text: str) -> Iterator[str]:
        """Names of all that is found in `text`."""
        if _SAYS_SOMETHING.search(text) is None:
            yield "empty"
            return
        if self.echo and self.prompt and _is_echo(text, self.prompt):
            yield "echo"
        if self.refusals and _REFUSAL.search(_plain(text)):
            yield "refusals"
        if len(text) < self.least or (self.most is not None and len(text) > self.most):
            yield "length"


def _prompt(config: Any) -> str | None:
    return getattr(config, "prompt", None)


def _is_echo(text: str, prompt: str) -> bool:
    """Whether all of `text` stands in the prompt, or the prompt is most of it."""
    if len(text) > 4 * len(prompt) + 40:
        return False
    said = _words(text)
    if prompt in said:
        return len(said) < 1.5 * len(prompt)
    return len(said) > len(prompt) / 2 and f" {said} " in f" {prompt} "


def _words(text: str) -> str:
    return " ".join(_WORDS.findall(text.casefold()))


def _plain(text: str) -> str:
    """The beginning, in small letters, with the apostrophe that keyboards have."""
    return text[:_LOOKED_AT].casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
