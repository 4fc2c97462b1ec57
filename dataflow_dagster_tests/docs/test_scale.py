"""The page on scale adds up."""

import re

import pytest

from dataflow_dagster.schema.pipeline import MOST_SHARDS
from dataflow_dagster_tests.docs.reading import DOCS

PAGE = (DOCS / "scale.md").read_text(encoding="utf-8")
ROWS = 100_000_000
ASSETS = 4
EVENTS = 2
MINUTES = {"days": 1440, "hours": 60, "minutes": 1}
BYTES = {"GB": 1e9, "MB": 1e6}


def table(head: str) -> list[list[str]]:
    lines = PAGE[PAGE.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def number(cell: str) -> float:
    """``43 hours`` in minutes, ``6.4 GB`` in bytes, ``1 000`` and ``5.3 million`` as they are."""
    found = re.fullmatch(r"([\d ]*\d(?:\.\d+)?) ?([A-Za-z]*)", cell)
    assert found is not None, cell
    value, unit = found.groups()
    return float(value.replace(" ", "")) * {**MINUTES, **BYTES, "million": 1e6, "": 1}[unit]


@pytest.mark.parametrize("row", table("rows/s of one GPU"))
def test_the_time_is_that_of_the_formula(row: list[str]) -> None:
    for told, gpus in zip(row[1:], (1, 8, 64), strict=True):
        assert number(told) == pytest.approx(ROWS / number(row[0]) / gpus / 60, rel=0.05)


@pytest.mark.parametrize("row", table("rows of a shard"))
def test_events_time_and_bytes_are_those_of_so_many_partitions(row: list[str]) -> None:
    rows, shards, events, minutes, size = map(number, row)
    assert shards == ROWS / rows <= MOST_SHARDS
    assert "A partition of an asset costs two of Dagster's events" in PAGE
    assert events == shards * ASSETS * EVENTS
    assert minutes == pytest.approx(shards * ASSETS * 0.1 / 60, rel=0.06)
    assert size == pytest.approx(shards * ASSETS * 16e3, rel=0.01)


def _counted() -> tuple[str, ...]:
    found = re.search(r"took (\d+) PUT, (\d+) LIST and (\d+) DELETE requests when", PAGE)
    assert found is not None
    return found.groups()


@pytest.mark.parametrize("row", table("GPUs | of one run"))
def test_requests_are_those_of_all_runs_together(row: list[str]) -> None:
    gpus, of_one, made, together, dollars = map(number, row)
    a_minute = 60 / 3 + 12
    assert "one PUT in three seconds" in PAGE
    assert f"12 requests a minute for the lock, {a_minute:.0f} a minute and run" in PAGE
    requests = ROWS / 10 / gpus / 60 * (gpus / of_one) * a_minute
    put, listed, deleted = map(int, _counted())
    shards = 10_000 * (put + listed + deleted)
    assert shards == 400_000
    assert made == pytest.approx(requests, rel=0.06)
    assert together == pytest.approx(requests + shards, rel=0.05)
    assert dollars == pytest.approx((requests + shards) * 5 / 1e6, abs=0.5)
