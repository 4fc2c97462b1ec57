"""``python -m dataflow_dagster_tests.engines.guarded TRACE HOW``: a step's process and its parent.

It is begun as Dagster begins a step, or by the command itself where ``DAGSTER_RUN_STEP_KEY`` is
set, as on Ray. It holds GPU 0, and has a child that never ends by itself. HOW it goes on:
``stays``, or ``ends`` at once.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

from dataflow_dagster.engines.guard import guarded
from dataflow_dagster.factory.processes import STEP_VARIABLE, step_parent
from dataflow_dagster.resources.gpus import Gpus


def step(trace: str, how: str) -> None:
    with guarded(step_parent()) as guard:
        assert guard is not None
        with Gpus(1, print, keep=guard.keep).lease():
            child = subprocess.Popen(["sleep", "1000"])
            forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
            forked.start()
            with Path(trace).open("a") as file:
                file.write(f"{os.getpid()} {child.pid} {forked.pid}\n")
            if how == "stays":
                time.sleep(1000)
    with Path(trace).open("a") as file:
        file.write("ended\n")
    time.sleep(30)


if __name__ == "__main__":
    if STEP_VARIABLE in os.environ:
        step(*sys.argv[1:3])
    else:
        process = multiprocessing.get_context("forkserver").Process(target=step, args=sys.argv[1:3])
        process.start()
        process.join()
