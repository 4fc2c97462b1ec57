from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.rows import Row
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.inspection import review_of
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.review import Review, sum_of_reviews
from dataflow_dagster_tests.toys.pipelines import PAINT, SHOUT, pipeline, with_config, write_rows

pytestmark = pytest.mark.usefixtures("toys")


def _row(row_id: str, text: str | None = None, **more: Any) -> Row:
    answer = {} if text is None else {"dataflow_texts": {"text": text}}
    return {"dataflow_id": row_id, **answer, **more}


def _review(of: PipelineSpec, rows: list[Row]) -> Review:
    step = of.steps[0]
    shard = Layout(of).shard(step.asset)
    write_rows(shard.path, rows)
    shard.review_path.unlink(missing_ok=True)
    return review_of(shard, step.asset, step)


def test_ids_in_another_order_give_another_hash(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    one, other, joined = (
        _review(of, [_row(row_id) for row_id in ids])
        for ids in (["a", "b"], ["b", "a"], ["ab", ""])
    )
    assert len({one.ids, other.ids, joined.ids}) == 3
    assert one.ids == one.read_ids


def test_repeats_are_told_by_the_id_they_repeat(tmp_path: Path) -> None:
    twice = pipeline(tmp_path, [with_config(SHOUT, repeat_time=2)])
    plain = _review(pipeline(tmp_path, [SHOUT]), [_row("a"), _row("b")])
    in_order = _review(twice, [_row(row_id) for row_id in ("a#0", "a#1", "b#0", "b#1")])
    assert in_order.read_ids == plain.ids
    mixed = _review(twice, [_row(row_id) for row_id in ("a#0", "b#1", "b#0", "a#1")])
    assert mixed.read_ids == ""


def test_rows_that_failed_or_were_skipped_are_no_answers(tmp_path: Path) -> None:
    error = {"step": "texts", "kind": "bad", "message": "m"}
    rows = [_row("a", "one"), _row("b"), _row("c", "left over", dataflow_error=error)]
    review = _review(pipeline(tmp_path, [SHOUT]), rows)
    assert (review.rows, review.answers) == (3, 1)
    assert review.failures == [{"id": "c", "kind": "bad", "message": "m"}]


def test_of_each_kind_of_failure_one_row_is_told_of_earlier_steps_none(tmp_path: Path) -> None:
    rows = [
        _row(str(n), dataflow_error={"step": step, "kind": kind, "message": "x" * 999})
        for n, (step, kind) in enumerate([("texts", "a"), ("texts", "a"), ("raw_meta", "b")])
    ]
    (failure,) = _review(pipeline(tmp_path, [SHOUT]), rows).failures
    assert (failure["id"], len(failure["message"])) == ("0", 300)


def test_long_texts_that_differ_at_the_end_are_not_repeated(tmp_path: Path) -> None:
    rows = [_row(str(n), "x" * 5000 + end) for n, end in enumerate("aab")]
    review = _review(pipeline(tmp_path, [SHOUT]), rows)
    assert review.findings == {"repeated": 1}
    assert review.characters == [5001, 5001, 5001]
    assert max(len(text) for text, _ in review.common) < 250


def test_more_answers_than_are_remembered_are_still_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflow_dagster.steps.inspection.MOST_REMEMBERED", 3)
    rows = [_row(str(n), text) for n, text in enumerate([*"abcdefg", "a", "a", "g"])]
    review = _review(pipeline(tmp_path, [SHOUT]), rows)
    assert (review.answers, review.findings) == (10, {"repeated": 2})
    assert review.common == [("a", 3)]


def test_a_review_of_other_rows_is_made_anew(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    step, shard = of.steps[0], Layout(of).shard("texts")
    write_rows(shard.path, [_row("a", "one")])
    assert review_of(shard, "texts", step).rows == 1
    write_rows(shard.path, [_row("a", "one"), _row("b", "")])
    assert review_of(shard, "texts", step).findings == {"empty": 1}
    shard.review_path.write_text("{broken")
    assert review_of(shard, "texts", step).rows == 2


def test_pictures_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [PAINT])
    pictures = [("1.png", "d1", False), ("2.png", "d1", True), ("3.png", "d3", False)]
    rows = [
        {"dataflow_id": name, "dataflow_generated_images": {"image": name, "digest": digest}}
        for name, digest, _ in pictures
    ]
    rows[1]["dataflow_generated_images"]["blank"] = True
    review = _review(of, rows)
    assert review.findings == {"repeated": 1, "blank": 1}
    assert review.examples == {"repeated": [["2.png", "2.png"]], "blank": [["2.png", "2.png"]]}


def test_several_shards_are_one_sum(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    first = _review(of, [_row("1", "same"), _row("2", "same"), _row("3", "")])
    second = _review(of, [_row("4", "same"), _row("5", "same"), _row("6", "same")])
    total = sum_of_reviews([first, second])
    assert (total.rows, total.answers) == (6, 6)
    assert total.findings == {"repeated": 3, "empty": 1}
    assert total.common == [("same", 5)]
    assert total.examples["repeated"] == [["2", "same"], ["5", "same"], ["6", "same"]]
