"""Patience with a server: what is tried again, after how long, and when to give up."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from dataflow_dagster.engines.errors import EngineRefusedError
from dataflow_dagster.engines.openai.throttle import Throttle
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.rows import RowError

LONGEST_WAIT_S: Final = 60.0
"""Exponential backoff stops growing here: rate limits are mostly counted by the minute."""

MOST_FORGIVEN: Final = 32
"""So many times a row gets its tries back because others that were refused got through."""

GIVE_UP_AFTER: Final = 16
"""So many rows in succession given up, none answered between: the server is gone."""


class TransientError(Exception):
    """A failure that may pass: the same request is worth another try.

    Args:
        kind: Of the row's error, should it not pass: ``rate_limited``, ``timeout``, ...
        message: For a person.
        wait_s: Seconds that the server asked to wait; None: it named none.
        holds_all: It concerns every request, so that all wait together.
    """

    def __init__(
        self, kind: str, message: str, *, wait_s: float | None = None, holds_all: bool = False
    ) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.wait_s = wait_s
        self.holds_all = holds_all


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one row's request is worth trying.

    Attributes:
        max_retries: Tries after the first one.
        timeout_s: Seconds one try may take, and the longest wait a server may ask for.
        first_wait_s: Upper bound of the wait before the first retry; doubles with each.
    """

    max_retries: int
    timeout_s: float
    first_wait_s: float = 0.5


@dataclass(slots=True)
class _Past:
    """How one row has fared, and how others had when it was last refused.

    Attributes:
        read: Rows that the server had read.
        recovered: Rows it had answered after it had refused them.
        tried: Tries that count.
        forgiven: Times they began anew.
        refused: It was told to wait at least once.
    """

    read: int
    recovered: int
    tried: int = 0
    forgiven: int = 0
    refused: bool = False


class Retrier:
    """Asks again what failed in passing; one for all requests of a session.

    Waits are drawn from [0, bound), the bound growing exponentially ("full jitter"), so that
    requests which failed together do not return together.
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

    Args:
        attempt: One try; raises `TransientError` where another one may do.
        patience: How often and how long.
        max_num_seqs: Most requests at a time.
    """

    def __init__(
        self,
        attempt: Callable[[Request], Awaitable[Answer]],
        patience: Patience,
        max_num_seqs: int,
    ) -> None:
        self._attempt = attempt
        self._patience = patience
        self._throttle = Throttle(max_num_seqs, patience.first_wait_s)
        self._read = 0
        self._recovered = 0
        self._given_up = 0

    async def ask(self, request: Request) -> Answer:
        """The answer to `request`, after some tries if need be.

        Raises:
            RowError: Of the attempt itself, or the last failure where all tries failed.
            EngineRefusedError: No row is answered any more.
        """
        past = _Past(self._read, self._recovered)
        while True:
            async with self._throttle:
                failed = await self._try(request)
            if isinstance(failed, Answer):
                self._recovered += past.refused
                return failed
            alone = failed.holds_all and self._is_refused_alone(past)
            wait_s = self._wait_s(failed, past.tried)
            past.tried += 1
            if past.tried > self._patience.max_retries or self._is_too_long(failed):
                raise self._surrender(failed, past.tried)
            if failed.holds_all and not alone:
                self._throttle.slow_down(wait_s)
            else:
                await asyncio.sleep(wait_s)

    def _is_refused_alone(self, past: "_Past") -> bool:
        """Whether the server lets others through and refuses this row for reasons of its own.

        A limit that concerns all refuses others too; where such a one got through, this one's turn
        will come, and its tries begin anew.
        """
        turns = self._recovered > past.recovered and past.forgiven < MOST_FORGIVEN
        if turns:
            past.tried = 0
            past.forgiven += 1
        alone = past.refused and self._read > past.read and not turns
        past.refused, past.read, past.recovered = True, self._read, self._recovered
        return alone

    async def _try(self, request: Request) -> Answer | TransientError:
        limit_s = self._patience.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._attempt(request)
        except TimeoutError:
            return TransientError("timeout", f"no answer within {limit_s:g} s (timeout_s)")
        except TransientError as failed:
            return failed
        except RowError:
            self._note_read()
            raise
        self._note_read()
        return answer

    def _note_read(self) -> None:
        """The server is there and has read a row, whatever it made of it."""
        self._read += 1
        self._given_up = 0
        self._throttle.speed_up()

    def _is_too_long(self, failed: TransientError) -> bool:
        return failed.wait_s is not None and failed.wait_s > self._patience.timeout_s

    def _wait_s(self, failed: TransientError, tried: int) -> float:
        """What the server asks for, which may be nothing, and the backoff behind it."""
        bound_s = min(self._patience.first_wait_s * 2**tried, LONGEST_WAIT_S)
        return (failed.wait_s or 0) + random.uniform(0, bound_s)

    def _surrender(self, failed: TransientError, tries: int) -> Exception:
        self._given_up += 1
        message = f"{failed.message} ({tries} tries)"
        if failed.wait_s is not None and self._is_too_long(failed):
            message += f"; the server asks to wait {failed.wait_s:.0f} s, longer than timeout_s"
        if self._given_up < GIVE_UP_AFTER:
            return RowError(failed.kind, message)
        return EngineRefusedError(
            f"the server has answered none of the last {self._given_up} rows; {message}"
        )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer's headers ask to wait; None where they name none.

    ``Retry-After`` is a number of seconds or an HTTP date (RFC 9110, 10.2.3); OpenAI adds
    ``retry-after-ms``.
    """
    precise, plain = headers.get("retry-after-ms"), headers.get("retry-after")
    if (seconds := _number(precise)) is not None:
        return seconds / 1000
    seconds = _number(plain)
    return _until(plain) if seconds is None else seconds


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _until(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": said to be UTC
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
