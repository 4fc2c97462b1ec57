"""Captions for pictures and pictures for captions, by the million, as Dagster assets."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataflow_dagster.component import DataflowPipeline
    from dataflow_dagster.factory.loading import build_definitions
    from dataflow_dagster.io_managers.rows import Shards
    from dataflow_dagster.ledger.shard import Shard
    from dataflow_dagster.registry import register

__all__ = ["DataflowPipeline", "Shard", "Shards", "build_definitions", "register"]

_HOMES = {
    "DataflowPipeline": "dataflow_dagster.component",
    "Shard": "dataflow_dagster.ledger.shard",
    "Shards": "dataflow_dagster.io_managers.rows",
    "build_definitions": "dataflow_dagster.factory.loading",
    "register": "dataflow_dagster.registry",
}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: the package alone loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names too, so that ``dg list components`` finds the one it is for."""
    return sorted({*globals(), *__all__})
