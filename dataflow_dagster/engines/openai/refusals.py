"""What a server says of a request that it does not answer, in whatever form it says it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from openai import APIStatusError

LONGEST_MESSAGE: Final = 400

_CODES: Final = ("code", "type", "status")
"""Where a machine-readable reason may stand; what is no text there repeats the HTTP status."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a server says of a request that it does not answer.

    Attributes:
        status: HTTP status.
        message: Its own words, cut short, without the key.
        code: Its machine-readable reason, ``""`` where it gives none.
        param: The key of the request that it names, ``""`` where it names none.
    """

    status: int
    message: str
    code: str = ""
    param: str = ""

    def __str__(self) -> str:
        return f"HTTP {self.status}: {self.message}"


def read_refusal(fault: "APIStatusError", key: str) -> Refusal:
    """The refusal in OpenAI's form, or in one of those that compatible servers have.

    ``{"error": {"message", "code", "param"}}`` (OpenAI), the same in a list (Gemini), ``{"error":
    "text"}`` (xAI), ``{"message"}`` or ``{"detail"}`` (FastAPI), plain text (proxies).
    """
    said = _said(fault.body)
    message = said.get("message") or said.get("detail") or fault.message
    codes = (said.get(name) for name in _CODES)
    return Refusal(
        status=fault.status_code,
        message=presentable(str(message), key),
        code=next((code for code in codes if isinstance(code, str)), ""),
        param=str(said.get("param") or ""),
    )


def presentable(text: str, key: str) -> str:
    """`text` in one line, not too long, with the key masked: servers repeat what they were sent."""
    masked = text.replace(key, "***") if key else text
    line = " ".join(masked.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…"


def _said(body: Any) -> dict[str, Any]:
    """The part of an error's body that tells, as a dict."""
    if isinstance(body, list):
        parts = cast("list[Any]", body)
        return _said(parts[0]) if parts else {}
    if not isinstance(body, dict):
        return {"message": body}
    keys = cast("dict[str, Any]", body)
    return {**keys, **_said(keys["error"])} if "error" in keys else keys
