"""What all text generators have in common: the newest text in, a text out."""

from typing import ClassVar

from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import Medium, RowError


class TextGenerator(Model):
    """A language model that rewrites, continues or answers a row's text."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "texts"


def text_of(given: Given) -> str:
    """The row's text.

    Raises:
        RowError: ``empty_text``: there is nothing in it.
    """
    if given.text is None or not given.text.strip():
        raise RowError("empty_text", f"the row's text is {given.text!r}; nothing to work on")
    return given.text


def under_prompt(prompt: str, text: str) -> str:
    """``{prompt}`` newline ``{text}``; without a prompt the text alone."""
    return f"{prompt}\n{text}" if prompt else text
