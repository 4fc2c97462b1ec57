import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from dataflow_dagster.steps.prepare import map_ahead


def test_results_come_in_order_although_calls_end_in_any_order() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(map_ahead(slow_first, range(40), pool, 8)) == list(range(40))


def test_no_more_is_read_than_calls_may_be_begun() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(str, numbers(), pool, 5)
        for taken in range(1, 90):
            next(results)
            assert len(read) <= taken + 5


def test_calls_run_beside_each_other() -> None:
    together = threading.Barrier(3, timeout=10)
    with ThreadPoolExecutor(3) as pool:
        assert list(map_ahead(lambda _: together.wait() >= 0, range(3), pool, 3)) == [True] * 3


def test_nothing_given_is_nothing_made() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(map_ahead(str, [], pool, 1)) == []
