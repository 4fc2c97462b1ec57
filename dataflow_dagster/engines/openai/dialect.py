"""How a server's API differs from OpenAI's classic one, learned from what it refuses."""

import re
from typing import Any, Final

from dataflow_dagster.engines.openai.faults import Refusal

_INSTEAD: Final[dict[str, str | None]] = {
    "max_tokens": "max_completion_tokens",
    "response_format": None,
    "seed": None,
}
"""Keys that some servers do not know → what they call it; None: it can be left out.

OpenAI's newer models want ``max_completion_tokens``, its gpt-image models take no
``response_format``: https://platform.openai.com/docs/api-reference. Mistral knows no ``seed``.
"""

_NOT_KNOWN: Final = re.compile(
    r"unsupported|not supported|unknown|unrecognized|unexpected|extra|not permitted|not allowed",
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
        for key, instead in _INSTEAD.items():
            if key in sent and _is_unknown(key, refusal):
                self._instead[key] = instead
                return True
        return False


def _is_unknown(key: str, refusal: Refusal) -> bool:
    named = refusal.param == key or re.search(rf"\b{key}\b", refusal.message) is not None
    return named and _NOT_KNOWN.search(f"{refusal.code} {refusal.message}") is not None
