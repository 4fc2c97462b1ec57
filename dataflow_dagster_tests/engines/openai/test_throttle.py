import asyncio
from collections.abc import Awaitable, Callable

from dataflow_dagster.engines.openai.throttle import Throttle


async def busiest(throttle: Throttle, count: int = 40) -> int:
    """The most that are let in at a time, of `count` at once."""
    inside, most = 0, 0

    async def one() -> None:
        nonlocal inside, most
        async with throttle:
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(count)))
    return most


def run(work: Callable[[Throttle], Awaitable[None]], most: int = 16) -> None:
    async def with_throttle() -> None:
        await work(Throttle(most, 0))

    asyncio.run(with_throttle())


def test_at_most_so_many_are_let_in() -> None:
    async def work(throttle: Throttle) -> None:
        assert await busiest(throttle) == 16

    run(work)


def test_requests_that_fail_together_halve_the_number_once() -> None:
    async def work(throttle: Throttle) -> None:
        for _ in range(5):
            throttle.slow_down(0.02)
        assert await busiest(throttle) == 8
        throttle.slow_down(0)
        assert await busiest(throttle) == 4

    run(work)


def test_one_is_always_let_in_and_answers_raise_the_number_again() -> None:
    async def work(throttle: Throttle) -> None:
        for _ in range(9):
            throttle.slow_down(0)
        assert await busiest(throttle, 5) == 1
        for _ in range(200):
            throttle.speed_up()
        assert await busiest(throttle) == 16

    run(work)


def test_all_wait_out_a_pause() -> None:
    async def work(throttle: Throttle) -> None:
        throttle.slow_down(0.2)
        began = asyncio.get_running_loop().time()
        await busiest(throttle, 3)
        assert asyncio.get_running_loop().time() - began >= 0.2

    run(work)


def test_one_that_is_cancelled_while_it_waits_gives_its_turn_back() -> None:
    async def work(throttle: Throttle) -> None:
        throttle.slow_down(0.1)
        waiting = [asyncio.create_task(busiest(throttle, 1)) for _ in range(20)]
        await asyncio.sleep(0.01)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await busiest(throttle) == 8

    run(work)
