"""What a shard held and holds no more is found by later runs, as long as it may be wanted."""

from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.ledger.keys import Origin
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import Row
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.steps.raw_meta import RawMeta, input_index
from dataflow_dagster_tests.ledger.test_ledger import ORIGIN, begun, find, shard_in, write
from dataflow_dagster_tests.steps.driving import Ground, many, partition_keys, step

OTHER = Origin("other", "texts")


def befores(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if ".before" in path.name)


@pytest.mark.parametrize("keys", [{}, {"shards": 2, "format": "parquet"}])
def test_a_prompt_that_comes_back_finds_its_answers(ground: Ground, keys: dict[str, Any]) -> None:
    many(ground)
    first = ground.run(step("Upper", prompt="A "), **keys)
    others = [ground.run(step("Upper", prompt=prompt), **keys) for prompt in ("B ", "C ")]
    for outcome, prompt in ((first, "A "), (others[0], "B "), (others[1], "C ")):
        again = ground.run(step("Upper", prompt=prompt), **keys)
        assert (ground.opened(), again.rows()) == (0, outcome.rows())
        assert len(befores(ground.folder)) == 4 * len(partition_keys(again.pipeline))


def test_answers_of_a_prompt_that_was_changed_in_between_are_kept_with_it(ground: Ground) -> None:
    many(ground, 6)
    ground.run(step("Upper", prompt="A "))
    many(ground, 8)
    ground.run(step("Upper", prompt="B "))
    many(ground, 4)
    ground.run(step("Upper", prompt="A "))
    ground.run(step("Upper", prompt="B "))
    many(ground, 8)
    ground.run(step("Upper", prompt="A "))
    assert sorted(ground.asked()) == ["t6", "t7"]
    ground.run(step("Upper", prompt="B "))
    assert ground.opened() == 0


def test_pictures_of_another_prompt_which_are_drawn_over_are_not_kept(ground: Ground) -> None:
    many(ground)
    ground.run(step("Paint", prompt="A "))
    ground.run(step("Paint", prompt="B "))
    assert befores(ground.folder) == []


def _only_the_first_shard(ground: Ground, *rows: Row) -> None:
    ground.rows(*rows)
    pipeline = ground.pipeline(step("Upper"), shards=2)
    layout, keys = Layout(pipeline), partition_keys(pipeline)
    raw_meta = RawMeta(pipeline, input_index(pipeline))
    for part, key in enumerate(keys):
        raw_meta.write_shard(layout.shard(RAW_META, key), part, 2, recompute=False)
    with StepRun(pipeline, pipeline.steps[0]) as run:
        run.answer_shard(layout.shard(RAW_META, keys[0]), layout.shard("texts", keys[0]))


def test_rows_that_left_a_shard_in_two_edits_are_all_found_by_the_next(ground: Ground) -> None:
    rows: list[Row] = [{"id": n, "text": f"t{n}"} for n in range(20)]
    new: list[Row] = [{"id": f"n{n}", "text": f"n{n}"} for n in range(6)]
    ground.rows(*rows)
    ground.run(step("Upper"), shards=2)
    _only_the_first_shard(ground, *new[:3], *rows)
    _only_the_first_shard(ground, *new, *rows)
    ground.run(step("Upper"), shards=2)
    assert ground.opened() == 0


def test_it_holds_no_more_than_the_answers_no_row_has_and_goes_with_the_last_of_them(
    tmp_path: Path,
) -> None:
    shard = write(shard_in(tmp_path), *"abcd")
    before = shard.before_path(ORIGIN.step)
    for keys in ("abc", "abcd", "ab", "abc", "a", "ab"):
        write(shard, *keys)
    assert before.read_bytes().count(b"\n") == 3  # b, c and d
    write(shard, *"xbcd")
    assert before.read_bytes().count(b"\n") == 3  # a, c and d
    write(shard, *"abcdx")
    assert befores(tmp_path) == []


def test_what_is_recomputed_is_not_kept_and_other_prompts_answers_stay(ground: Ground) -> None:
    many(ground, 6)
    ground.run(step("Upper"))
    ground.run(step("Upper", prompt="!"), recompute=True)
    many(ground, 5)
    ground.run(step("Upper", prompt="!"), recompute=True)
    many(ground, 6)
    ground.run(step("Upper", prompt="!"))
    assert ground.asked() == ["t5"]
    ground.run(step("Upper"))
    assert ground.opened() == 0


def test_keys_lost_in_a_kill_are_read_from_the_kept_rows(tmp_path: Path) -> None:
    shard = write(write(shard_in(tmp_path), *"abc"), *"x", origin=OTHER)
    kept = shard.before_path(ORIGIN.step)
    kept.with_name(kept.name + ".keys").unlink()
    assert find(begun(Shard(tmp_path / "step_9_Probe_Upper/result.jsonl")), "b") == {"text": "B"}


def test_answers_of_an_asset_renamed_since_are_kept_with_the_new_ones(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    renamed = Origin(ORIGIN.step, "said")
    for keys, origin in (("ab", ORIGIN), ("x", OTHER), ("cd", renamed), ("y", OTHER)):
        write(shard, *keys, origin=origin)
    ledger = begun(shard_in(tmp_path, "step_9_Probe_Upper"))
    assert [find(ledger, key) for key in "dacb"] == [{"text": key} for key in "DACB"]
