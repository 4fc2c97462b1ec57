"""How a server's API differs from OpenAI's classic one, learned from what it refuses."""

import re
from collections.abc import Mapping
from typing import Any, Final

from dataflow_dagster.engines.openai.refusals import Refusal

_INSTEAD: Final[dict[str, str | None]] = {
    "max_tokens": "max_completion_tokens",
    "response_format": None,
    "seed": None,
    "top_p": None,
    "temperature": None,
    "presence_penalty": None,
    "frequency_penalty": None,
}
"""Keys that some servers do not take → what they call it; None: it can be left out.

OpenAI's newer models want ``max_completion_tokens`` and no sampling of ours, its gpt-image models
take no ``response_format``: https://platform.openai.com/docs/api-reference. Mistral knows no
``seed``; Claude takes ``temperature`` or ``top_p``.
"""

_UNTOLD: Final = "response_format"
"""Left out without a word: no key of a step."""

_NOT_KNOWN: Final = re.compile(
    r"unsupported|not supported|unknown|unrecognized|unexpected|extra|not permitted|not allowed"
    r"|deprecated|cannot both",
    re.IGNORECASE,
)


class Dialect:
    """Remembers which keys of a body the server wants otherwise."""

    def __init__(self) -> None:
        self._instead: dict[str, str | None] = {}

    def spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        """`body` in the keys that the server takes, as far as is known by now."""
        keys = {key: self._instead.get(key, key) for key in body}
        return {new: body[key] for key, new in keys.items() if new is not None}

    def learns(self, refusal: Refusal, sent: dict[str, Any]) -> bool:
        """True where the refusal was for a key of `sent` that will not be sent again."""
        if refusal.status not in {400, 422}:
            return False
        key = _unknown_key(refusal, sent)
        if key is None:
            return False
        self._instead[key] = _INSTEAD[key]
        return True

    @property
    def notes(self) -> Mapping[str, str]:
        """The keys of a step that are not sent."""
        left_out = [key for key, instead in self._instead.items() if instead is None]
        told = ", ".join(sorted(key for key in left_out if key != _UNTOLD))
        return {"not_sent": f"{told}: the model does not take it"} if told else {}


def _unknown_key(refusal: Refusal, sent: Mapping[str, Any]) -> str | None:
    """The key of `sent` that the server does not take: the one it names apart, or in its words."""
    if not _NOT_KNOWN.search(f"{refusal.code} {refusal.message}"):
        return None
    keys = [key for key in _INSTEAD if key in sent]
    if refusal.param in keys:
        return refusal.param
    return next((key for key in keys if re.search(rf"\b{key}\b", refusal.message)), None)
