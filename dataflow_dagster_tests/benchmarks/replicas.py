"""``python -m dataflow_dagster_tests.benchmarks.replicas``: how replicas of a waiting engine scale.

The engine sleeps 50 ms a row, as one that waits for a device or a server does. Rows/s of 1, 2, 4
and 8 replicas, from the first answer (all are open by then) to the last. Aim: at least 0.9 N.
"""

import time
from collections.abc import Iterator
from contextlib import closing

from dataflow_dagster.engines.replicas.session import Plan, Replicas
from dataflow_dagster.engines.session import Request
from dataflow_dagster_tests.engines.waiting import Waiting

PAUSE_S = 0.05
ROWS_EACH = 100
AIM = 0.9


def requests(count: int) -> Iterator[Request]:
    """So many rows of text."""
    return (Request(number, number, f"row {number}") for number in range(count))


def rows_per_second(replicas: int) -> float:
    """Of one shard with as many rows for each replica, the replicas being open."""
    with closing(Replicas(Waiting(PAUSE_S).open, Plan(replicas), _ignore)) as session:
        warm = replicas * 20  # enough rows that every replica is begun and has answered
        list(session.answers(requests(warm)))
        began = time.perf_counter()
        count = sum(1 for _ in session.answers(requests(replicas * ROWS_EACH)))
        return count / (time.perf_counter() - began)


def _ignore(line: str) -> None:
    del line


def main() -> None:
    """Print rows/s and the share of N times one replica."""
    alone = rows_per_second(1)
    print(f"1 replica   {alone:7.1f} rows/s")  # noqa: T201  # its result
    for replicas in (2, 4, 8):
        rate = rows_per_second(replicas)
        share = rate / alone / replicas
        print(f"{replicas} replicas  {rate:7.1f} rows/s, {share:.2f} N (aim: {AIM})")  # noqa: T201  # its result


if __name__ == "__main__":
    main()
