"""``python -m dataflow_dagster_tests.engines.guarded_vllm TRACE``: a step with vLLM, and its run.

A process is begun as Dagster begins steps. It opens the real engine, which has processes of its
own, answers a row, writes the ids of all its processes on a line of TRACE, itself first, and stays.
"""

import multiprocessing
import os
import sys
import time
from pathlib import Path

import psutil

from dataflow_dagster.engines.guard import guarded
from dataflow_dagster.factory.processes import step_parent


def step(trace: str) -> None:
    with guarded(step_parent()):
        from dataflow_dagster.engines.vllm.session import open_session
        from dataflow_dagster_tests.engines.requests import VLLM, answer, ask, language

        answer(open_session(VLLM, language(max_model_len=60, max_num_seqs=2)), [ask(0)])
        below = [child.pid for child in psutil.Process().children(recursive=True)]
        with Path(trace).open("a") as file:
            file.write(" ".join(map(str, [os.getpid(), *below])) + "\n")
        time.sleep(1000)


if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    begun = context.Process(target=step, args=sys.argv[1:2])
    begun.start()
    begun.join()
