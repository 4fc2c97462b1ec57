"""``python -m dataflow_dagster_tests.benchmarks.code_location``: what loading our assets costs.

Fresh processes, alternating, so that a busy machine slows both; medians. Aim: at most 1.5 times
``import dagster``.
"""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 7
AIM = 1.5

_TIMED = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"


def seconds_to_import(module: str) -> float:
    """Wall-clock seconds that one fresh process needs, from the project's root."""
    command = [sys.executable, "-c", _TIMED.format(module=module)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print both medians and their ratio."""
    dagster: list[float] = []
    ours: list[float] = []
    for _ in range(RUNS):
        dagster.append(seconds_to_import("dagster"))
        ours.append(seconds_to_import("dataflow_dagster.definitions"))
    alone, all_of_it = statistics.median(dagster), statistics.median(ours)
    print(f"import dagster                       {alone:.2f} s")  # noqa: T201  # its result
    print(f"import dataflow_dagster.definitions  {all_of_it:.2f} s")  # noqa: T201  # its result
    print(f"ratio {all_of_it / alone:.2f} (aim: {AIM})")  # noqa: T201  # its result


if __name__ == "__main__":
    main()
