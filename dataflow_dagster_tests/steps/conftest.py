from pathlib import Path

import pytest

from dataflow_dagster import registry
from dataflow_dagster_tests.steps import probes
from dataflow_dagster_tests.steps.driving import Ground


@pytest.fixture(autouse=True)
def known_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probes under the step type ``Probe``, for one test."""
    monkeypatch.setattr(registry, "_MODELS", {**registry.models()})
    probes.register()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)
