import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from dataflow_dagster.steps.prepare import map_ahead


def test_results_come_in_order_although_calls_end_in_any_order() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 4 == 0 else 0)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(
            map_ahead(lambda number: pool.submit(slow_first, number), range(40), 8)
        ) == list(range(40))


def test_no_more_is_read_than_calls_may_be_begun() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(lambda number: pool.submit(str, number), numbers(), 5)
        for taken in range(1, 90):
            next(results)
            assert len(read) <= taken + 5


def test_calls_run_beside_each_other() -> None:
    together = threading.Barrier(3, timeout=10)
    with ThreadPoolExecutor(3) as pool:
        begun = map_ahead(lambda _: pool.submit(together.wait), range(3), 3)
        assert sorted(begun) == [0, 1, 2]


def test_nothing_given_is_nothing_made() -> None:
    assert list(map_ahead(Future[int].set_result, [], 1)) == []


def test_a_call_that_takes_long_lets_the_others_go_before() -> None:
    stuck = threading.Event()

    def begin(number: int) -> Future[int]:
        return pool.submit(lambda: number if number or stuck.wait(10) else -1)

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(begin, range(20), 4, patience_s=0.05)
        assert [next(results) for _ in range(15)] == list(range(1, 16))
        stuck.set()
        assert sorted(results) == [0, 16, 17, 18, 19]
