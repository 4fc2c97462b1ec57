"""The ledger is tested through steps that fill it."""

from dataflow_dagster_tests.steps.conftest import ground, known_probes

__all__ = ["ground", "known_probes"]
