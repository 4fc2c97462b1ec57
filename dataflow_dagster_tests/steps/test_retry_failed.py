"""`retry_failed`: only rows that failed are answered."""

import pytest

from dataflow_dagster.ledger.shard import NothingToRetryError
from dataflow_dagster_tests.steps.driving import Ground, files, run, step


def rows_of(ground: Ground, *texts: str) -> None:
    ground.rows(*({"id": n, "text": text} for n, text in enumerate(texts)))


def test_only_failed_rows_are_answered_and_what_follows_from_them(ground: Ground) -> None:
    rows_of(ground, "a", "b", "c", "d")
    ground.run(step("Upper", refuses=["c"]), step("Paint"), shards=2)
    untouched = files(ground.folder / "base/step_1_Probe_Upper/result")["00000-of-00002.jsonl"]
    rows_of(ground, "new", "b", "c", "d", "more")
    ground.log.unlink()
    outcome = run(ground.pipeline(step("Upper"), step("Paint"), shards=2), retry_failed=True)
    assert ground.asked() == ["c", "C"]
    assert [row["text"] for row in outcome.rows()] == ["A", "B", "C", "D"]
    assert outcome.tally("texts").failed == 0
    after = files(ground.folder / "base/step_1_Probe_Upper/result")["00000-of-00002.jsonl"]
    assert after == untouched
    assert ground.run(step("Upper"), step("Paint"), shards=2).tally("texts").computed == 2


def test_with_no_failed_row_nothing_is_opened(ground: Ground) -> None:
    rows_of(ground, "a", "b")
    ground.run(step("Upper"))
    rows_of(ground, "c", "d", "e")
    ground.log.unlink()
    outcome = run(ground.pipeline(step("Upper")), retry_failed=True)
    assert ground.opened() == 0
    assert outcome.tally("texts").reused == 2


def test_a_shard_that_is_not_done_or_of_other_settings_is_told(ground: Ground) -> None:
    rows_of(ground, "a", "b")
    with pytest.raises(NothingToRetryError, match="is not done: run it without --retry-failed"):
        run(ground.pipeline(step("Upper")), retry_failed=True)
    ground.run(step("Upper"))
    with pytest.raises(NothingToRetryError, match="was made with other settings"):
        run(ground.pipeline(step("Upper", prompt="!")), retry_failed=True)
