from pathlib import Path

import pytest


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two devices whose locks no other test sees."""
    monkeypatch.setenv("DATAFLOW_GPUS", "0, 1")
    monkeypatch.setenv("DATAFLOW_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def silent(line: str) -> None:
    """Is told nothing."""
    raise AssertionError(line)
