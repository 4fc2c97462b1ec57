"""What a server's refusal means: try again, this row's fault, or no row will ever be answered."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from dataflow_dagster.engines.errors import EngineRefusedError
from dataflow_dagster.engines.openai.retries import TransientError, retry_after_s
from dataflow_dagster.rows import RowError

if TYPE_CHECKING:
    from openai import APIError, APIStatusError

LONGEST_MESSAGE: Final = 400

_PASSING: Final = frozenset({408, 409, 425, 429})
_FATAL: Final = {
    401: "the key is not accepted; config key 'api_key'",
    402: "the account has no credit left",
    403: "the key does not allow this; config keys 'api_key' and 'model'",
    404: "there is no such model or address; config keys 'model' and 'base_url'",
}
_UNKNOWN_MODEL: Final = frozenset({"model_not_found", "invalid_model", "unknown_model"})
_FILTERED: Final = ("content_filter", "content_policy", "moderation_blocked", "safety")
_TOO_LONG: Final = ("context_length_exceeded", "maximum context length", "maximum model length")


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
    """The refusal in OpenAI's form, which compatible servers follow more or less."""
    body: Any = fault.body
    said = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    message = said.get("message") or said.get("detail") or fault.message
    return Refusal(
        status=fault.status_code,
        message=presentable(str(message), key),
        code=str(said.get("code") or said.get("type") or ""),
        param=str(said.get("param") or ""),
    )


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


def presentable(text: str, key: str) -> str:
    """`text` in one line, not too long, with the key masked: servers repeat what they were sent."""
    masked = text.replace(key, "***") if key else text
    line = " ".join(masked.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…"


def _meaning(refusal: Refusal, headers: dict[str, str]) -> Exception:
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
    return RowError(_row_kind(refusal), str(refusal))


def _fatal(refusal: Refusal) -> str | None:
    if refusal.status == 429 and refusal.code == "insufficient_quota":
        return _FATAL[402]
    if refusal.status == 400 and _is_about_model(refusal):
        return _FATAL[404]
    if 300 <= refusal.status < 400:
        return "the server has moved; config key 'base_url'"
    return _FATAL.get(refusal.status)


def _is_about_model(refusal: Refusal) -> bool:
    return refusal.param == "model" or refusal.code in _UNKNOWN_MODEL


def _row_kind(refusal: Refusal) -> str:
    said = f"{refusal.code} {refusal.message}".lower()
    if refusal.status == 413:
        return "request_too_large"
    if any(sign in said for sign in _TOO_LONG):
        return "prompt_too_long"
    return "refused" if any(sign in refusal.code for sign in _FILTERED) else "bad_request"
