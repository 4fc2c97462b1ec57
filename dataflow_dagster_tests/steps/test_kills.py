"""Runs killed before changes of their files, over shards that are finished and edited since."""

from pathlib import Path

import pytest

from dataflow_dagster_tests.soak import every_change

EVERY = 47
"""All of them are `every_change.main`'s."""


@pytest.mark.parametrize("case", every_change.CASES)
def test_killed_anywhere_over_finished_shards_a_run_loses_nothing(
    tmp_path: Path, case: str
) -> None:
    assert len(list(every_change.killed(tmp_path, case, EVERY))) >= 5
