import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.ledger.part import RowsMismatchError
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.steps.raw_meta import RawMeta, input_index
from dataflow_dagster.steps.shard_run import HOPELESS_AFTER, HopelessStepError
from dataflow_dagster_tests.steps.driving import Ground, draw, open_files, run, step


def test_order_is_kept_although_the_session_answers_backwards(ground: Ground) -> None:
    ground.rows(*({"text": f"t{n}"} for n in range(30)))
    outcome = ground.run(step("Upper"))
    assert ground.asked()[:4] == ["t3", "t2", "t1", "t0"]
    assert [row["text"] for row in outcome.rows()] == [f"T{n}" for n in range(30)]


def test_repeated_answers_make_rows_of_their_own(ground: Ground) -> None:
    ground.rows({"id": "a", "text": "x"}, {"id": "b", "text": "y"}, {"id": "c", "text": None})
    outcome = ground.run(step("Dice", repeat_time=3), step("Paint", repeat_time=2))
    texts = outcome.rows("texts")
    assert [row["dataflow_id"] for row in texts] == [f"{i}#{k}" for i in "abc" for k in range(3)]
    said = [row.get("dataflow_text") for row in texts]
    assert len(set(said[:6])) == 6
    assert said[6:] == [None] * 3
    assert outcome.rows("generated_images")[3]["dataflow_id"] == "a#1#1"
    assert outcome.rows()[3]["image"] == "generated_images/a_generated_1_1.png"
    assert len(outcome.rows()) == 18
    assert outcome.tally("generated_images").skipped == 6


def test_two_equal_prompts_and_two_equal_pictures_do_not_collapse(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows(*({"image": "a.png", "text": "same"} for _ in range(3)))
    dice = ground.run(step("Dice"))
    assert len({row["text"] for row in dice.rows()}) == 3
    assert len(ground.asked()) == 3
    looks = ground.run(step("Look"))
    assert len(ground.asked()) == 3
    assert [row["text"] for row in looks.rows()] == ["4x4 (255, 0, 0)"] * 3


@pytest.mark.parametrize("name", ["Upper", "Paint"])
@pytest.mark.parametrize(
    ("behaves", "said"),
    [
        ("twice", "answered twice"),
        ("never", "1 of 3 rows have no answer"),
        ("foreign", "row 1002 was answered twice, or was not asked"),
        ("wrong_medium", "has no"),
    ],
)
def test_a_session_that_breaks_its_word_stops_the_shard(
    ground: Ground, name: str, behaves: str, said: str
) -> None:
    ground.rows({"text": "a"}, {"text": "b"}, {"text": "c"})
    with pytest.raises(RowsMismatchError, match=said):
        ground.run(step(name, behaves=behaves))
    folder = ground.folder / f"base/step_1_Probe_{name}"
    assert not (folder / "result.jsonl").exists()
    assert not (folder / "result.manifest.json").exists()
    assert (
        ground.run(step(name)).tally(f"{'texts' if name == 'Upper' else 'generated_images'}").rows
        == 3
    )


def test_a_session_that_stops_early_stops_the_shard(ground: Ground) -> None:
    ground.rows(*({"text": f"t{n}"} for n in range(9)))
    with pytest.raises(RowsMismatchError, match="stopped before the last row"):
        ground.run(step("Upper", behaves="stops"))
    assert not (ground.folder / "base/step_1_Probe_Upper/result.jsonl").exists()


class _Counting:
    def __init__(self) -> None:
        self.rows = self.failed = 0

    def advance(self, rows: int, failed: int) -> None:
        self.rows += rows
        self.failed += failed

    def say(self, what: str) -> None: ...


def test_progress_counts_every_row_once_and_the_failures_of_this_step(ground: Ground) -> None:
    ground.rows({"text": "a"}, {"text": "unfit"}, {"text": 3}, {"text": None}, {"text": "b"})
    pipeline = ground.pipeline(step("Upper", refuses=["b"]))
    layout, first, again = Layout(pipeline), _Counting(), _Counting()
    source, target = layout.shard(RAW_META), layout.shard("texts")
    RawMeta(pipeline, input_index(pipeline)).write_shard(source, 0, 1, recompute=False)
    for counting in (first, again):
        with StepRun(pipeline, pipeline.steps[0], progress=counting) as run:
            tally = run.answer_shard(source, target).tally
        assert (counting.rows, counting.failed) == (tally.rows, tally.failed) == (5, 2)
    assert tally.passed == 1


def test_an_engine_that_dies_leaves_no_open_files_or_threads(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows(*({"image": "a.png"} for _ in range(50)))
    before, threads = open_files(), _threads()
    with pytest.raises(ConnectionError):
        ground.run(step("Look", behaves="raises"))
    assert open_files() <= before
    assert _threads() <= threads


def _threads() -> set[str]:
    """Those that end with a step; one that flushes files ends when there were none for a while."""
    return {thread.name for thread in threading.enumerate() if thread.name != "flush"}


def test_rows_without_the_medium_are_skipped_and_rows_that_failed_pass_untouched(
    ground: Ground,
) -> None:
    ground.rows({"id": 1, "text": None}, {"id": 2, "text": "unfit"}, {"id": 3, "text": "c"})
    outcome = ground.run(step("Upper"), step("Upper", prompt="!"))
    first, second = outcome.rows("texts"), outcome.rows("texts_2")
    assert second[0] == first[0]
    assert second[1] == first[1]
    assert second[1]["dataflow_error"]["step"] == "texts"
    assert second[2]["dataflow_text"] == "!C"
    assert "dataflow_key" not in second[0]
    tally = outcome.tally("texts_2")
    assert (tally.rows, tally.computed, tally.skipped, tally.passed, tally.failed) == (
        3,
        1,
        1,
        1,
        0,
    )
    assert tally.tokens == 5


def test_a_step_is_hopeless_after_so_many_same_failures_and_not_before(ground: Ground) -> None:
    ground.rows(*({"text": f"unfit {n}"} for n in range(HOPELESS_AFTER - 1)))
    assert ground.run(step("Upper")).tally("texts").failed == HOPELESS_AFTER - 1
    ground.rows(*({"text": f"unfit {n}"} for n in range(HOPELESS_AFTER + 50)))
    with pytest.raises(HopelessStepError, match="all failed with 'unfit'"):
        ground.run(step("Upper"))
    assert ground.opened() == 0


def test_pictures_that_are_all_missing_are_hopeless(ground: Ground) -> None:
    ground.rows(*({"image": f"{n}.png"} for n in range(HOPELESS_AFTER + 50)))
    with pytest.raises(HopelessStepError, match="missing_file"):
        ground.run(step("Look"))


def test_an_engine_that_refuses_every_row_is_hopeless(ground: Ground) -> None:
    texts = [f"t{n}" for n in range(HOPELESS_AFTER + 50)]
    ground.rows(*({"text": text} for text in texts))
    with pytest.raises(HopelessStepError, match="refused"):
        ground.run(step("Upper", refuses=texts))


@pytest.mark.parametrize("name", ["Upper", "Look"])
def test_failures_are_not_hopeless_while_an_earlier_row_waits_for_its_answer(
    ground: Ground, name: str
) -> None:
    draw(ground.source / "good.png")
    good = [{"text": "good", "image": "good.png"}]
    bad = [{"text": f"unfit {n}", "image": "none.png"} for n in range(HOPELESS_AFTER + 50)]
    ground.rows(*good, *bad)
    asset = "texts" if name == "Upper" else "captions"
    tally = ground.run(step(name)).tally(asset)
    assert (tally.computed, tally.failed) == (1, HOPELESS_AFTER + 50)


def test_nor_while_an_earlier_row_is_overtaken_as_it_is_prepared(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.rows({"text": "good"}, *({"text": f"unfit {n}"} for n in range(HOPELESS_AFTER + 50)))
    preparing = StepRun.prepare

    def prepare(self: StepRun, work: Iterator[Work]) -> Iterator[tuple[Work, Any]]:
        first, *others = preparing(self, work)
        yield from (*others, first)

    monkeypatch.setattr(StepRun, "prepare", prepare)
    assert ground.run(step("Upper")).tally("texts").computed == 1


def test_many_failed_rows_among_known_answers_are_not_hopeless(ground: Ground) -> None:
    bad = [{"text": f"unfit {n}"} for n in range(HOPELESS_AFTER + 50)]
    ground.rows({"text": "good"}, *bad)
    ground.run(step("Upper"))
    tally = ground.run(step("Upper")).tally("texts")
    assert (tally.reused, tally.failed) == (1, HOPELESS_AFTER + 50)


def test_a_shard_of_failures_is_not_hopeless_after_a_good_shard(ground: Ground) -> None:
    bad = [{"text": f"unfit {n}"} for n in range(HOPELESS_AFTER + 50)]
    ground.rows(*({"text": f"good {n}"} for n in range(HOPELESS_AFTER + 50)), *bad)
    assert ground.run(step("Upper"), shards=2).tally("texts").computed == HOPELESS_AFTER + 50


class _Slow:
    """Takes one request at a time and looks how many rows were read for it."""

    def __init__(self, read: "itertools.count[int]", ahead: list[int]) -> None:
        self._read, self._ahead = read, ahead

    def answers(self, requests: Iterator[Request]) -> Iterator[Answered]:
        for taken, request in enumerate(requests):
            self._ahead.append(_value(self._read) - taken)
            yield request.number, Answer(text="x")

    def close(self) -> None: ...


def _value(counter: "itertools.count[int]") -> int:
    return int(repr(counter)[6:-1])


@pytest.mark.parametrize(("name", "most"), [("Upper", 2), ("Look", 100)])
def test_the_reader_runs_no_further_ahead_than_the_pool_holds(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    draw(ground.source / "a.png")
    ground.rows(*({"text": f"t{n}", "image": "a.png"} for n in range(500)))
    pipeline = ground.pipeline(step(name))
    read, ahead = itertools.count(), list[int]()
    probe = pipeline.steps[0].config
    monkeypatch.setattr(type(probe), "open", lambda self, engine: _Slow(read, ahead))
    layout = Layout(pipeline)
    RawMeta(pipeline, input_index(pipeline)).write_shard(
        layout.shard(RAW_META), 0, 1, recompute=False
    )
    with StepRun(pipeline, pipeline.steps[0]) as run:
        reading = run.inputs.read
        monkeypatch.setattr(
            run.inputs, "read", lambda row, n, mark: (next(read), reading(row, n, mark))[1]
        )
        manifest = run.answer_shard(layout.shard(RAW_META), layout.shard(pipeline.steps[0].asset))
    assert manifest.tally.rows == 500
    assert max(ahead) <= most


def test_failures_of_small_shards_add_up_to_a_hopeless_step(ground: Ground) -> None:
    ground.rows(*({"text": f"unfit {n}"} for n in range(1000)))
    with pytest.raises(HopelessStepError, match=f"first {HOPELESS_AFTER} rows .*'unfit'"):
        ground.run(step("Upper"), shards=100)
    ground.rows(*({"text": f"unfit {n}" if n else "fit"} for n in range(1000)))
    assert ground.run(step("Upper"), shards=100).tally("texts").failed == 999


BAD = [{"text": f"unfit {n}"} for n in range(HOPELESS_AFTER + 50)]
GOOD = [{"text": f"good {n}"} for n in range(HOPELESS_AFTER + 50)]


@pytest.mark.parametrize("retry_failed", [False, True])
def test_a_shard_of_failures_passes_again_after_a_good_shard_that_is_reused(
    ground: Ground, retry_failed: bool
) -> None:
    ground.rows(*GOOD, *BAD, *GOOD)
    pipeline = ground.run(step("Upper"), shards=3).pipeline
    tally = run(pipeline, retry_failed=retry_failed).tally("texts")
    assert (tally.reused, tally.failed) == (2 * len(GOOD), len(BAD))


def test_good_answers_behind_many_new_failures_prove_the_step(ground: Ground) -> None:
    ground.rows(*GOOD)
    ground.run(step("Upper"))
    ground.rows(*BAD, *GOOD)
    tally = ground.run(step("Upper")).tally("texts")
    assert (tally.reused, tally.failed) == (len(GOOD), len(BAD))


def test_answers_under_another_prompt_prove_nothing(ground: Ground) -> None:
    ground.rows(*GOOD)
    ground.run(step("Upper"))
    ground.rows(*BAD, *GOOD)
    with pytest.raises(HopelessStepError):
        ground.run(step("Upper", prompt="!"))


def test_where_all_may_fail_no_step_is_hopeless_and_the_message_tells_so(ground: Ground) -> None:
    ground.rows(*BAD, *GOOD)
    with pytest.raises(HopelessStepError, match="`max_failed: 1`"):
        ground.run(step("Upper"), max_failed=0.9)
    tally = ground.run(step("Upper"), max_failed=1).tally("texts")
    assert (tally.computed, tally.failed) == (len(GOOD), len(BAD))
