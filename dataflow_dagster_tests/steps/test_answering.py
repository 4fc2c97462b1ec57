from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.formats.lookup import read
from dataflow_dagster.rows import decode
from dataflow_dagster_tests.steps.driving import Ground, draw, files, many, step

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["Upper", "Paint"])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_an_unchanged_shard_is_reused_without_opening_the_engine(
    ground: Ground, name: str, kind: str
) -> None:
    many(ground)
    first = ground.run(step(name), format=kind)
    assert ground.opened() == 1
    before = files(ground.folder / "base")
    second = ground.run(step(name), format=kind)
    assert ground.opened() == 0
    assert files(ground.folder / "base") == before
    asset = first.pipeline.steps[0].asset
    assert (second.tally(asset).reused, second.tally(asset).computed) == (12, 0)


@pytest.mark.parametrize(
    "keys", [{"batch_size": 5}, {"resources": {"gpus": 0, "cpus": 2}}], ids=["batch", "resources"]
)
def test_what_only_decides_the_speed_recomputes_nothing(
    ground: Ground, keys: dict[str, Any]
) -> None:
    many(ground)
    ground.run(step("Upper"), step("Paint"))
    ground.run(step("Upper", **keys), step("Paint", **keys))
    assert ground.opened() == 0


def test_a_changed_prompt_recomputes_and_the_old_one_finds_its_answers(ground: Ground) -> None:
    many(ground)
    plain = ground.run(step("Upper")).rows()
    assert ground.run(step("Upper", prompt="!")).rows()[0]["text"] == "!T0"
    assert len(ground.asked()) == 12
    assert ground.run(step("Upper")).rows() == plain
    assert ground.asked() == []


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"seed": 1}, {}),
        ({}, {"seed": 1}),
        ({"repeat_time": 2}, {}),
        ({"input_key": "other"}, {}),
    ],
    ids=["seed of the step", "seed of the pipeline", "repeat_time", "input_key"],
)
def test_what_decides_the_rows_is_noticed_although_the_input_is_the_same(
    ground: Ground, config: dict[str, Any], keys: dict[str, Any]
) -> None:
    ground.rows(*({"id": n, "text": f"t{n}", "other": f"o{n}"} for n in range(4)))
    before = ground.run(step("Dice")).rows()
    after = ground.run(step("Dice", **config), **keys)
    assert after.rows() != before
    assert len(after.rows()) == 4 * config.get("repeat_time", 1)
    assert after.rows()[0]["text"].startswith("o0" if "input_key" in config else "t0")
    assert ground.run(step("Dice")).rows() == before


def test_more_repeats_compute_only_what_is_new(ground: Ground) -> None:
    many(ground)
    ground.run(step("Dice", repeat_time=2))
    tally = ground.run(step("Dice", repeat_time=3)).tally("texts")
    assert (tally.rows, tally.reused, tally.computed) == (36, 24, 12)


def test_rows_added_changed_and_moved_compute_only_what_is_new(ground: Ground) -> None:
    many(ground, 6)
    before = {row["id"]: row["text"] for row in ground.run(step("Dice")).rows()}
    new = {"id": "new", "text": "new"}
    changed = {"id": 5, "text": "changed"}
    ground.rows(new, changed, *({"id": n, "text": f"t{n}"} for n in (3, 0, 4)))
    outcome = ground.run(step("Dice"))
    assert sorted(ground.asked()) == ["changed", "new"]
    assert {row["id"]: row["text"] for row in outcome.rows()[2:]} == {
        n: before[n] for n in (3, 0, 4)
    }


def test_a_step_put_before_changes_no_answer(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows(*({"id": n, "text": f"t{n}", "image": "a.png"} for n in range(5)))
    alone = ground.run(step("Dice", output_key="dice")).rows()
    after = ground.run(step("Look"), step("Dice", input_key="text", output_key="dice")).rows()
    assert [row["dice"] for row in after] == [row["dice"] for row in alone]


def test_a_step_of_the_same_class_put_before_changes_no_answer(ground: Ground) -> None:
    many(ground)
    texts = {"input_key": "text"}
    first, second = step("Upper", prompt="A ", **texts), step("Upper", prompt="B ")
    ground.run(first, second)
    before = step("Upper", prompt="Z ", **texts)
    outcome = ground.run(before, first, second)
    assert len(ground.asked()) == 12
    assert [outcome.tally(asset).reused for asset in ("texts", "texts_2", "texts_3")] == [0, 12, 12]


def test_of_equal_steps_none_takes_the_other_s_answers_wherever_one_is_put(ground: Ground) -> None:
    many(ground, 3)
    dice = [step("Dice", input_key="text", asset=asset) for asset in "abc"]
    rolled = ground.run(dice[0]).rows("a")
    rows = ground.run(*dice).rows("c")
    answers = [[row[f"dataflow_{asset}"]["text"] for row in rows] for asset in "abc"]
    assert answers[0] == [row["dataflow_a"]["text"] for row in rolled]
    assert len({text for texts in answers for text in texts}) == 9
    assert len(ground.asked()) == 6


def test_an_edited_prompt_changes_no_seed(ground: Ground) -> None:
    many(ground, 3)
    for prompt in ("A ", "C "):
        spec = ground.pipeline(step("Upper", prompt=prompt), step("Upper", prompt="B "))
        assert [one.identity for one in spec.steps] == ["Probe/Upper", "Probe/Upper"]


def test_shards_change_no_answer(ground: Ground) -> None:
    many(ground)
    whole = ground.run(step("Dice"), step("Paint")).rows()
    split = ground.run(step("Dice"), step("Paint"), shards=5)
    assert split.rows() == whole


def test_failed_rows_are_tried_again_and_only_these(ground: Ground) -> None:
    ground.rows({"text": "a"}, {"text": "unfit"}, {"text": "c"}, {"text": None})
    first = ground.run(step("Upper", refuses=["c"]))
    assert first.kinds("texts") == [None, "unfit", "refused", None]
    assert first.tally("texts").kinds == {"unfit": 1, "refused": 1}
    second = ground.run(step("Upper"))
    assert ground.asked() == ["c"]
    tally = second.tally("texts")
    assert (tally.reused, tally.computed, tally.failed, tally.skipped) == (1, 1, 1, 1)
    assert [row["text"] for row in second.rows()] == ["A", "unfit", "C", None]


def test_a_picture_that_comes_late_is_captioned(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png"}, {"image": "late.png"})
    assert ground.run(step("Look")).kinds("captions") == [None, "missing_file"]
    draw(ground.source / "late.png", (0, 0, 9))
    outcome = ground.run(step("Look"))
    assert ground.asked() == ["late.png"]
    assert outcome.rows()[1]["text"] == "4x4 (0, 0, 9)"


def test_recompute_answers_everything_anew(ground: Ground) -> None:
    many(ground)
    ground.run(step("Upper"))
    assert ground.run(step("Upper"), recompute=True).tally("texts").computed == 12
    assert len(ground.asked()) == 12


def test_one_engine_serves_all_shards_and_is_closed(ground: Ground) -> None:
    many(ground)
    ground.run(step("Upper"), shards=4)
    lines = ground.log.read_text().splitlines()
    assert (lines.count("open"), lines.count("close"), lines[-1]) == (1, 1, "close")


def test_a_deleted_picture_is_made_again_and_no_other(ground: Ground) -> None:
    many(ground)
    ground.run(step("Paint"))
    drawn = ground.folder / "base/step_1_Probe_Paint/generated_images/3_generated.png"
    before = drawn.read_bytes()
    drawn.unlink()
    tally = ground.run(step("Paint")).tally("generated_images")
    assert (tally.computed, tally.reused, ground.asked()) == (1, 11, ["t3"])
    assert drawn.read_bytes() == before


def test_a_picture_overwritten_under_another_prompt_is_not_taken_for_the_old_one(
    ground: Ground,
) -> None:
    many(ground)
    good = files_of_pictures(ground, ground.run(step("Paint")))
    with pytest.raises(ConnectionError):
        ground.run(step("Paint", prompt="!", behaves="raises"))
    folder = ground.folder / "base/step_1_Probe_Paint"
    drawn = folder / "generated_images"
    (drawn / "0_generated.png").write_bytes((drawn / "1_generated.png").read_bytes())
    outcome = ground.run(step("Paint"))
    assert ground.asked() == ["t0"]
    assert files_of_pictures(ground, outcome) == good


def files_of_pictures(ground: Ground, outcome: Any) -> list[bytes]:
    return [(ground.folder / "out" / row["image"]).read_bytes() for row in outcome.rows()]


def test_the_source_is_never_written(ground: Ground) -> None:
    inner = draw(ground.source / "deep/a.png", (1, 2, 3))
    for name in ("a.png", "a_generated.png", "b.jpg"):
        draw(ground.source / name)
    (ground.source / "link.png").symlink_to(inner)
    values = ["a.png", str(inner), "./deep/../a_generated.png", "b.jpg", "link.png", "../x.png"]
    ground.rows(*({"image": value, "text": "x"} for value in values))
    before = files(ground.source), inner.stat().st_mtime_ns
    for keys in ({}, {"shards": 2}, {"format": "parquet"}):
        outcome = ground.run(step("Look"), step("Paint"), step("Look"), step("Paint"), **keys)
        assert len([kind for kind in outcome.kinds("results") if kind is None]) == 5
    assert (files(ground.source), inner.stat().st_mtime_ns) == before


def test_a_models_unexpected_exception_costs_its_row(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataflow_dagster_tests.steps.probes import Upper

    preparing = Upper.request

    def request(self: Upper, given: Any) -> Any:
        return 1 / 0 if given.text == "b" else preparing(self, given)

    monkeypatch.setattr(Upper, "request", request)
    ground.rows({"text": "a"}, {"text": "b"}, {"text": "c"})
    outcome = ground.run(step("Upper"))
    assert outcome.kinds("texts") == [None, "unreadable", None]
    assert "ZeroDivisionError" in outcome.errors()[0]["message"]


def test_the_manifest_tells_engine_counts_and_versions(ground: Ground) -> None:
    many(ground, 3)
    ground.run(step("Upper"))
    path = ground.folder / "base/step_1_Probe_Upper/result.manifest.json"
    told = decode(path.read_bytes())
    assert told["engine"] == {
        "name": "probe",
        "version": "1.0",
        "precision": "float32",
        "device": "cpu",
    }
    assert told["tally"]["rows"] == told["tally"]["computed"] == 3
    assert told["size"] == path.with_name("result.jsonl").stat().st_size
    assert len(list(read(path.with_name("result.jsonl")))) == 3
