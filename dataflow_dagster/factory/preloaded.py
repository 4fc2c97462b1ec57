"""Imported by the process that steps are forked from: what all of them begin with."""

import gc
from importlib import import_module
from typing import Final

from dataflow_dagster import registry

MODULES: Final = (
    "dataflow_dagster.factory.pipeline",
    "dagster._core.execution.plan.external_step",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
)

for module in MODULES:
    import_module(module)
registry.load_own()
gc.collect()
gc.freeze()  # what is here now stays: steps need not look through it for what can go
