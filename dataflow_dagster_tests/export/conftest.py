"""Exports are made of what real steps wrote."""

from dataflow_dagster_tests.steps.conftest import ground, known_probes

__all__ = ["ground", "known_probes"]
