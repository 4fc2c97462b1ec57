"""How a step's own process begins."""

import multiprocessing
import os
from multiprocessing import forkserver
from typing import Any, Final

import dagster as dg

PRELOADED: Final = ["dagster._core.executor.multiprocess", "dataflow_dagster.factory.preloaded"]

STEP_PROCESSES: Final[dict[str, Any]] = {
    "start_method": {"forkserver": {"preload_modules": PRELOADED}}
}
"""Config of Dagster's multiprocess executor: processes are forked from one that has imported
Dagster and no heavy library. A step begins in 0.2 s so, in 2 to 4 s otherwise (2 busy cores)."""


STEP_VARIABLE: Final = "DAGSTER_RUN_STEP_KEY"
"""Set by executors that begin a step by a command: dagster-ray's, and that for Kubernetes."""


def begin_step_server() -> None:
    """Begin the process that steps are forked from, so that it imports beside the caller.

    The executor would begin it with the first step. Steps get the environment of this moment.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()


def step_parent() -> int | None:
    """The process without which a step's own has no reason to go on.

    None: this is a person's shell or notebook, or a container's first process.
    """
    forked = multiprocessing.parent_process()
    if forked is not None:
        return forked.pid
    return (os.getppid() or None) if STEP_VARIABLE in os.environ else None


def step_executor() -> dg.ExecutorDefinition:
    """Each step in a process of its own, begun quickly; a run may bound how many at once.

    Run config: ``execution: {config: {max_concurrent: 2}}``.
    """
    schema = {"max_concurrent": dg.Field(int, is_required=False)}

    def with_limit(config: dict[str, Any]) -> dict[str, Any]:
        return {**STEP_PROCESSES, **config}

    return dg.multiprocess_executor.configured(with_limit, "multiprocess", schema)
