"""How many requests a server is sent at a time: fewer, and later, when it says it is too many."""

import asyncio
import random
from types import TracebackType


class Throttle:
    """A turn for each request: ``async with throttle``.

    Half as many at a time after each "too many requests", one more again with every so many
    answers (additive increase, multiplicative decrease, as TCP does it).

    Args:
        most: Never more at a time.
        jitter_s: After a pause requests begin within so many seconds, not all at once.
    """

    def __init__(self, most: int, jitter_s: float) -> None:
        self._most = most
        self._jitter_s = jitter_s
        self._allowed = float(most)
        self._open = 0
        self._held_until = 0.0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._open < int(self._allowed))
            self._open += 1
        try:
            while (left_s := self._held_until - _now()) > 0:
                await asyncio.sleep(left_s + random.uniform(0, self._jitter_s))
        except asyncio.CancelledError:
            self._open -= 1
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._open -= 1
        async with self._changed:
            self._changed.notify_all()

    def slow_down(self, wait_s: float) -> None:
        """Hold all requests back for `wait_s`; those that failed together halve the number once."""
        now = _now()
        if now >= self._held_until:
            self._allowed = max(self._allowed / 2, 1.0)
        self._held_until = max(self._held_until, now + wait_s)

    def speed_up(self) -> None:
        """Note one answer."""
        self._allowed = min(self._allowed + 1 / self._allowed, float(self._most))


def _now() -> float:
    return asyncio.get_running_loop().time()
