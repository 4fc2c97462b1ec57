"""Pictures that are no drawn scenes, and what a GPU was used for."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dataflow_dagster_tests.pictures import natural
from dataflow_dagster_tests.steps.driving import Ground

GIB = 2**30


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Eight like photographs, of unlike sizes and proportions."""
    sizes = [(640, 480), (480, 640), (1024, 768), (333, 517)] * 2
    paths = [tmp_path / f"{number}.jpg" for number in range(len(sizes))]
    for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        natural(size, number).save(path, quality=90)
    return paths


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line that pytest does not keep to itself."""

    def write(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201  # a measurement is its result

    return write


def used_gib() -> float:
    """GPU memory that all processes hold now; 0 without a GPU."""
    if not torch.cuda.is_available():
        return 0.0
    free, whole = torch.cuda.mem_get_info()
    return (whole - free) / GIB


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    """A folder for one pipeline."""
    return Ground(tmp_path)
