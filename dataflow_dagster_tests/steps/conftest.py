from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster import registry
from dataflow_dagster_tests.object_store import Machines, bucket, hurry, serve_s3
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


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve_s3(tmp_path_factory.mktemp("s3"))


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file system; ``bucket`` is this test's own and empty."""
    return bucket(s3_server, monkeypatch)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    hurry(monkeypatch)
    return Machines(tmp_path, monkeypatch)
