from pathlib import Path

import pytest

from dataflow_dagster.shards import repeats
from dataflow_dagster.shards.repeats import Collector, Repeat, Repeats


def _collected(folder: Path, values: list[str | None]) -> Repeats:
    with Collector(folder) as collector:
        for number, value in enumerate(values):
            if value is not None:
                collector.add(number, value)
        collector.save(folder / "repeats.npy")
    return Repeats(folder / "repeats.npy")


def test_a_repeated_value_tells_its_first_row_and_how_many_came_before(tmp_path: Path) -> None:
    found = _collected(tmp_path, ["a", "b", None, "a", "c", "a", "b"])
    assert [found.find(number) for number in range(7)] == [
        *(None, None, None),
        *(Repeat(0, 1), None, Repeat(0, 2), Repeat(1, 1)),
    ]
    assert len(found) == 3


@pytest.mark.parametrize("values", [[], [None], ["a"], ["a", "b"]])
def test_without_repeats_nothing_is_found(tmp_path: Path, values: list[str | None]) -> None:
    found = _collected(tmp_path, values)
    assert len(found) == 0
    assert found.find(0) is None


def test_what_lies_on_disk_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "_HELD", 100)
    values: list[str | None] = [str(number % 1700) for number in range(5000)]
    found = _collected(tmp_path, values)
    for number in (0, 1699, 1700, 3399, 3400, 4999, 50):
        earlier = number // 1700
        assert found.find(number) == (Repeat(number % 1700, earlier) if earlier else None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["repeats.npy"]
