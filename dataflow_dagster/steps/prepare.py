"""Preparing rows beside the engine: never far ahead of what is needed, nor held up by one row."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

PATIENCE_S: Final = 5.0
"""A row that is waited for longer lets those behind it go before."""


def map_ahead(
    begin: Callable[[T], Future[R]],
    given: Iterable[T],
    ahead: int,
    *,
    patience_s: float = PATIENCE_S,
) -> Iterator[R]:
    """Results in order, with at most `ahead` calls begun and not yet taken.

    The order is kept so that engines that work by batch see the same batches in every run; it is
    given up where one call takes more than `patience_s`, so that they are not idle for its sake.

    Args:
        begin: Hands one to a pool.
        given: Read only as far as calls are begun.
        ahead: 1 or more.
        patience_s: Seconds that the oldest call is waited for while others are done.
    """
    begun: deque[Future[R]] = deque()
    late: list[Future[R]] = []
    for one in given:
        begun.append(begin(one))
        if len(begun) + len(late) >= ahead:
            yield _next(begun, late, patience_s)
    while begun or late:
        yield _next(begun, late, patience_s)


def _next(begun: deque[Future[R]], late: list[Future[R]], patience_s: float) -> R:
    if begun and begun[0].done():
        return begun.popleft().result()
    while begun and not any(future.done() for future in late):
        done, _ = wait([begun[0]], timeout=patience_s)
        if done:
            return begun.popleft().result()
        if any(future.done() for future in begun):
            late.append(begun.popleft())
    done, _ = wait(late, return_when=FIRST_COMPLETED)
    first = next(future for future in late if future in done)
    late.remove(first)
    return first.result()
