"""``python -m dataflow_dagster_tests.engines.guarded_replicas TRACE``: a step with replicas.

Each replica holds one of two GPUs, and has a large process. None of them ends by itself.
"""

import multiprocessing
import os
import sys
from functools import partial
from pathlib import Path

from dataflow_dagster.engines.guard import guarded
from dataflow_dagster.engines.replicas.session import Plan, Replicas
from dataflow_dagster.engines.session import Request
from dataflow_dagster.factory.processes import step_parent
from dataflow_dagster.resources.gpus import Gpus
from dataflow_dagster_tests.engines.large import opened

REPLICAS = 2


def step(trace: str) -> None:
    with guarded(step_parent()) as guard:
        assert guard is not None
        with Gpus(REPLICAS, print, keep=guard.keep).lease() as lease:
            Path(trace).write_text(f"{os.getpid()}\n")
            session = Replicas(partial(opened, trace), Plan(REPLICAS, lease), print)
            list(session.answers(Request(number, 0, "") for number in range(100)))


if __name__ == "__main__":
    process = multiprocessing.get_context("forkserver").Process(target=step, args=sys.argv[1:2])
    process.start()
    process.join()
