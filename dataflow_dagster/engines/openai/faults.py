"""What a server's refusal means: try again, this row's fault, or no row will ever be answered."""

import re
from typing import TYPE_CHECKING, Final

from dataflow_dagster.engines.errors import EngineRefusedError
from dataflow_dagster.engines.openai.refusals import Refusal, presentable, read_refusal
from dataflow_dagster.engines.openai.retries import TransientError, retry_after_s
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from openai import APIError

_PASSING: Final = frozenset({408, 409, 425, 429})
_FATAL: Final = {
    401: "the key is not accepted; config key 'api_key'",
    402: "the account has no credit left",
    403: "the key does not allow this; config keys 'api_key' and 'model'",
    404: "there is no such model or address; config keys 'model' and 'base_url'",
}
_UNKNOWN_MODEL: Final = frozenset({"model_not_found", "invalid_model", "unknown_model"})
_BAD_KEY: Final = re.compile(
    r"api.?key (not valid|expired)|(invalid|incorrect) api.?key", re.IGNORECASE
)
"""How Google and xAI name, under HTTP 400, what is a 401 elsewhere."""

_FILTERED: Final = re.compile(
    r"content.?(filter|policy|management policy)|moderation|safety (system|check)|\bflagged\b"
    r"|usage (guidelines|policies)|^safety",
    re.IGNORECASE,
)
_OF_ACCOUNT: Final = re.compile(r"\b(account|organi[sz]ation)\b", re.IGNORECASE)
"""Where this was flagged, all rows were."""

_TOO_LONG: Final = re.compile(
    r"context.?(length|size|window)|(model|prompt) length|prompt is too long|input token count"
    r"|reduce the length|maximum number of tokens|string_above_max_length",
    re.IGNORECASE,
)
_TOO_LARGE: Final = re.compile(r"request too large|must be reduced", re.IGNORECASE)
"""A request that no rate limit will ever let through, though OpenAI says 429 of it too."""


def read_fault(fault: "APIError", key: str) -> Exception:
    """The exception that stands for a failed call of the client; none shows the key."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(fault, APIStatusError):
        return _meaning(read_refusal(fault, key), dict(fault.response.headers))
    if isinstance(fault, APITimeoutError):
        return TransientError("timeout", "the server did not answer in time (timeout_s)")
    if isinstance(fault, APIConnectionError):
        cause = presentable(repr(fault.__cause__), key)
        return TransientError("connection", f"the connection failed: {cause}")
    return TransientError("bad_answer", presentable(str(fault), key))


def _meaning(refusal: Refusal, headers: dict[str, str]) -> Exception:
    if kind := _row_kind(refusal):
        return RowError(kind, str(refusal))
    if fatal := _fatal(refusal):
        return EngineRefusedError(f"{refusal}. {fatal}")
    if refusal.status in _PASSING or refusal.status >= 500:
        limited = refusal.status == 429
        wait_s = retry_after_s({name.lower(): value for name, value in headers.items()})
        return TransientError(
            "rate_limited" if limited else "server_error",
            str(refusal),
            wait_s=wait_s,
            holds_all=limited or (refusal.status == 503 and wait_s is not None),
        )
    return RowError("bad_request", str(refusal))


def _row_kind(refusal: Refusal) -> str | None:
    """What the server has against this row; None where it names no such thing."""
    said = f"{refusal.code} {refusal.message}"
    if refusal.status == 413 or (refusal.status == 429 and _TOO_LARGE.search(said)):
        return "request_too_large"
    if refusal.status not in {400, 403, 422}:
        return None
    if _TOO_LONG.search(said) and refusal.status != 403:
        return "prompt_too_long"
    return "refused" if _is_filtered(refusal) else None


def _is_filtered(refusal: Refusal) -> bool:
    if _FILTERED.search(refusal.code):
        return True
    said = refusal.message
    return _FILTERED.search(said) is not None and _OF_ACCOUNT.search(said) is None


def _fatal(refusal: Refusal) -> str | None:
    if refusal.status == 429 and refusal.code == "insufficient_quota":
        return _FATAL[402]
    if refusal.status == 400 and _is_about_model(refusal):
        return _FATAL[404]
    if refusal.status == 400 and _BAD_KEY.search(f"{refusal.code} {refusal.message}"):
        return _FATAL[401]
    if 300 <= refusal.status < 400:
        return "the server has moved; config key 'base_url'"
    return _FATAL.get(refusal.status)


def _is_about_model(refusal: Refusal) -> bool:
    return refusal.param == "model" or refusal.code in _UNKNOWN_MODEL
