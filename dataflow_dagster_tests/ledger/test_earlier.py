"""Whatever changes about where answers lie, none is computed twice."""

from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.results import Results
from dataflow_dagster_tests.steps.driving import Ground, Outcome, draw, many, step

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "other shards": ({"shards": 4}, {"shards": 3}),
    "sharded": ({}, {"shards": 3}),
    "no longer sharded": ({"shards": 3}, {}),
    "to parquet": ({"shards": 2}, {"shards": 2, "format": "parquet"}),
    "from parquet": ({"format": "parquet"}, {}),
    "parquet of another split": ({"format": "parquet", "shards": 2}, {"shards": 5}),
}


def pictures(ground: Ground, outcome: Outcome) -> list[bytes]:
    return [(ground.folder / "out" / row["image"]).read_bytes() for row in outcome.rows()]


@pytest.mark.parametrize("change", CHANGES)
def test_another_layout_or_format_computes_nothing(ground: Ground, change: str) -> None:
    before, after = CHANGES[change]
    many(ground)
    steps = step("Dice", repeat_time=2), step("Paint")
    outcome = ground.run(*steps, **before)
    first, drawn = outcome.rows(), pictures(ground, outcome)
    again = ground.run(*steps, **after)
    assert ground.opened() == 0
    assert again.tally("texts").reused == again.tally("generated_images").reused == 24
    assert again.rows() == first
    assert pictures(ground, again) == drawn
    third = ground.run(*steps, **before)
    assert ground.opened() == 0
    assert third.rows() == first


def test_a_step_put_before_or_removed_computes_none_of_the_others_anew(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows(*({"id": n, "text": f"t{n}", "image": "a.png"} for n in range(6)))
    rest = step("Paint", input_key="text"), step("Look"), step("Upper")
    outcome = ground.run(*rest)
    first, drawn = outcome.rows(), pictures(ground, outcome)
    with_another = ground.run(step("Dice", output_key="dice"), *rest)
    assert sorted(ground.asked()) == [f"t{n}" for n in range(6)]
    assert pictures(ground, with_another) == drawn
    assert [row["text"] for row in with_another.rows()] == [row["text"] for row in first]
    moved = list((ground.folder / "base/step_2_Probe_Paint/generated_images").iterdir())
    assert {path.stat().st_nlink for path in moved} == {3}  # two steps' and in the results
    assert ground.run(*rest).rows() == first
    assert ground.opened() == 0


def test_a_renamed_asset_computes_nothing(ground: Ground) -> None:
    many(ground)
    first = ground.run(step("Dice", asset="said"), step("Paint", asset="drawn"))
    drawn = pictures(ground, first)
    again = ground.run(step("Dice", asset="told"), step("Paint", asset="painted"))
    assert ground.opened() == 0
    assert again.rows()[0]["image"] == "painted/0_generated.png"
    assert pictures(ground, again) == drawn


def test_answers_of_an_older_key_are_never_taken(ground: Ground) -> None:
    many(ground)
    ground.run(step("Dice", prompt="old"), shards=3)
    ground.run(step("Dice", seed=5), shards=4)
    ground.run(step("Dice"), shards=5)
    assert len(ground.asked()) == 12


def test_a_picture_changed_since_is_drawn_again_and_no_other(ground: Ground) -> None:
    many(ground)
    drawn = pictures(ground, ground.run(step("Paint")))
    changed = ground.folder / "base/step_1_Probe_Paint/generated_images/7_generated.png"
    changed.unlink()
    draw(changed)
    again = ground.run(step("Upper"), step("Paint", input_key="text"))
    assert again.tally("generated_images").computed == 1
    assert ground.asked()[-1] == "t7"
    assert pictures(ground, again) == drawn


@pytest.mark.parametrize("shards", [2, 5, 7])
def test_rows_that_move_to_another_shard_are_not_computed_again(
    ground: Ground, shards: int
) -> None:
    rows = [{"id": n, "text": f"t{n}"} for n in range(20)]
    ground.rows(*rows)
    first = ground.run(step("Dice"), step("Paint"), shards=shards).rows()
    new = [{"id": f"new{n}", "text": f"new{n}"} for n in range(3)]
    ground.rows(*new, *rows)
    after = ground.run(step("Dice"), step("Paint"), shards=shards)
    assert after.tally("texts").computed == after.tally("generated_images").computed == 3
    assert after.rows()[3:] == first
    ground.rows(*rows[4:])
    last = ground.run(step("Dice"), step("Paint"), shards=shards)
    assert ground.opened() == 0
    assert last.rows() == first[4:]


def test_what_a_killed_run_left_is_known_to_another_split(ground: Ground) -> None:
    many(ground)
    pipeline = ground.run(step("Dice"), shards=2).pipeline
    layout = Layout(pipeline)
    for key in ("00000-of-00002", "00001-of-00002"):
        shard = layout.shard("texts", key)
        shard.path.rename(shard.part_path)
        shard.manifest_path.unlink()
        shard.keys_path.unlink()
    with PartWriter(layout.shard("texts", "00001-of-00002")):
        pass
    assert ground.run(step("Dice")).tally("texts").reused == 12


@pytest.mark.parametrize("ending", ["jsonl.keys", "manifest.json", "review.json"])
def test_what_a_power_cut_left_empty_beside_the_rows_costs_no_answer(
    ground: Ground, ending: str
) -> None:
    many(ground)
    first = ground.run(step("Dice")).rows()
    (ground.folder / f"base/step_1_Probe_Dice/result.{ending}").write_bytes(b"")
    many(ground, 13)
    assert ground.run(step("Dice")).rows()[:12] == first
    assert ground.asked() == ["t12"]


def test_a_folder_that_is_no_step_of_ours_is_no_ledger(ground: Ground) -> None:
    many(ground)
    for name in ("step_9_file", "step_8_folder/result"):
        path = ground.folder / "base" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("result") else path.write_text("x")
    (ground.folder / "base/step_8_folder/result/x.jsonl").write_text("not json\n")
    assert ground.run(step("Dice")).tally("texts").computed == 12


def test_many_shards_split_anew_compute_nothing(ground: Ground) -> None:
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(300)))
    first = ground.run(step("Dice"), shards=100).rows()
    again = ground.run(step("Dice"), shards=99)
    assert ground.opened() == 0
    assert again.rows() == first


def test_the_results_are_made_of_the_step_s_own_pictures(ground: Ground) -> None:
    many(ground)
    ground.run(step("Paint"))
    outcome = ground.run(step("Upper"), step("Paint", input_key="text"))
    own = ground.folder / "base/step_2_Probe_Paint"
    for folder in (ground.folder / "base").glob("step_1_Probe_Paint"):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert len(list(own.rglob("*.png"))) == 12
    layout = Layout(outcome.pipeline)
    source, target = layout.shard("generated_images"), layout.shard("results")
    Results(outcome.pipeline).write_shard(source, target, recompute=True)
    assert Path(ground.folder / "out/generated_images/3_generated.png").is_file()
