"""Preparing rows beside the engine: a pool of threads, never far ahead of what is needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    function: Callable[[T], R], given: Iterable[T], pool: Executor, ahead: int
) -> Iterator[R]:
    """Results of `function` in order, with at most `ahead` calls begun and not yet taken.

    Args:
        function: Must not raise; runs in `pool`.
        given: Read only as far as calls are begun.
        pool: Threads: Pillow lets go of the interpreter while it decodes.
        ahead: 1 or more.
    """
    begun: deque[Future[R]] = deque()
    for one in given:
        begun.append(pool.submit(function, one))
        if len(begun) >= ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
