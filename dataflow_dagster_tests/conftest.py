"""What tests of several rooms share."""

import gc
import os

import pytest

from dataflow_dagster import registry
from dataflow_dagster_tests.processes import Children
from dataflow_dagster_tests.toys.models import Filmer, Namer, Painter, Shouter, Wanderer, Watcher

# Several processes run tests side by side: a pool of threads in each for every core slows them all.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Leave what imports made out of garbage collections: vLLM asks for many as it opens and ends.

    It also takes everything back in; then what is left after a collection is left out anew.
    """
    unfreeze = gc.unfreeze

    def unfreeze_and_freeze() -> None:
        unfreeze()
        gc.collect()
        gc.freeze()

    gc.unfreeze = unfreeze_and_freeze
    unfreeze_and_freeze()


@pytest.fixture
def children() -> Children:
    """What the test starts, and must not leave running."""
    return Children()


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys under the step type ``Toy``, for one test."""
    register_toys(monkeypatch)


def register_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toys under the step type ``Toy``, until the patches are undone."""
    monkeypatch.setattr(registry, "_MODELS", {**registry.models()})
    monkeypatch.setattr(registry, "_ALIASES", {**registry._ALIASES})  # noqa: SLF001  # restored
    for toy in (Filmer, Namer, Painter, Shouter, Wanderer, Watcher):
        registry.register("Toy")(toy)
