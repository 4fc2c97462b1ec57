import os
from typing import Any

import pytest

from dataflow_dagster.media.fetching import Fetcher, MediaRules
from dataflow_dagster.rows import Row
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.steps.inputs import InputReader, Work
from dataflow_dagster.steps.stamps import Stamps
from dataflow_dagster_tests.steps.driving import Ground, draw, step

STAMPS = Stamps(Fetcher(MediaRules()), hash_media=False)


def works(ground: Ground, row: Row, *steps: dict[str, Any], **keys: Any) -> list[Work]:
    pipeline = ground.pipeline(*steps, **keys)
    reader = InputReader(pipeline, pipeline.steps[-1], "fingerprint", STAMPS)
    return list(reader.read(row, 7))


def seeds_of(ground: Ground, row: Row, *steps: dict[str, Any], **keys: Any) -> list[int]:
    pipeline = ground.pipeline(*steps, **keys)
    reader = InputReader(pipeline, pipeline.steps[-1], "fingerprint", STAMPS)
    return [reader.given(work).seed for work in reader.read(row, 7)]


def key_of(ground: Ground, row: Row, *steps: dict[str, Any], **keys: Any) -> bytes:
    (work,) = works(ground, row, *steps, **keys)
    return work.digest


def test_a_seed_hangs_on_pipeline_seed_step_id_and_repeat_alone(ground: Ground) -> None:
    row = {"dataflow_id": "a", "dataflow_text": "x"}
    first, second = seeds_of(ground, row, step("Upper", repeat_time=2))
    seeds = {first, second}
    for other, keys in (
        (step("Dice"), {}),
        (step("Upper"), {"seed": 1}),
        (step("Upper", seed=2), {}),
    ):
        seeds.update(seeds_of(ground, row, other, **keys))
    assert len(seeds) == 5
    for same in (
        seeds_of(ground, {**row, "dataflow_text": "y", "more": 1}, step("Upper", batch_size=9)),
        seeds_of(ground, row, step("Dice"), step("Upper", prompt="!")),
        seeds_of(ground, row, step("Upper", seed=0), seed=5),
    ):
        assert same == [first]


def test_a_key_changes_with_text_seed_and_picture(ground: Ground) -> None:
    row = {"dataflow_id": "a", "dataflow_text": "x"}
    texts = [row, {**row, "dataflow_text": "y"}, {**row, "dataflow_id": "b"}]
    assert len({key_of(ground, one, step("Upper")) for one in texts}) == 3
    assert key_of(ground, {**row, "other": 1}, step("Upper")) == key_of(ground, row, step("Upper"))

    path = draw(ground.source / "a.png")
    picture = {"dataflow_id": "a", "dataflow_image": str(path)}
    keys = {key_of(ground, picture, step("Look"))}
    os.utime(path, ns=(1, 1))
    keys.add(key_of(ground, picture, step("Look")))
    path.unlink()
    keys.add(key_of(ground, picture, step("Look")))
    assert len(keys) == 3


def test_a_row_read_is_never_changed(ground: Ground) -> None:
    row = {"dataflow_id": "a", "dataflow_text": "x", "dataflow_key": "old"}
    before = row.copy()
    works(ground, row, step("Upper", repeat_time=2))
    assert row == before


def test_output_rows_are_numbered_through(ground: Ground) -> None:
    row = {"dataflow_id": "a", "dataflow_text": "x", "dataflow_repeat": "_4"}
    made = works(ground, row, step("Upper", repeat_time=3))
    assert [work.number for work in made] == [21, 22, 23]
    assert [work.row["dataflow_id"] for work in made] == ["a#0", "a#1", "a#2"]
    assert [work.row["dataflow_repeat"] for work in made] == ["_4_0", "_4_1", "_4_2"]


def test_the_key_of_the_step_before_does_not_stay_on_a_skipped_row(ground: Ground) -> None:
    (work,) = works(ground, {"dataflow_id": "a", "dataflow_key": "old"}, step("Upper"))
    assert work.value is None
    assert work.error is None
    assert "dataflow_key" not in work.row


def test_a_row_that_failed_before_is_left_as_it_is(ground: Ground) -> None:
    row = {"dataflow_id": "a", "dataflow_key": "old", "dataflow_error": {"kind": "k"}}
    (work,) = works(ground, row, step("Upper"))
    assert work.row == row
    assert work.value is None


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [("x", "x", None), ("", "", None), (None, None, None), (3, None, "bad_value")],
)
def test_an_input_key_may_be_a_column_of_the_user(
    ground: Ground, value: object, text: str | None, kind: str | None
) -> None:
    row = {"dataflow_id": "a", "own": value, "dataflow_text": "not this"}
    (work,) = works(ground, row, step("Upper", input_key="own"))
    assert work.value == text
    assert (work.error and work.error.kind) == kind


def test_a_column_that_is_not_there_is_told(ground: Ground) -> None:
    (work,) = works(ground, {"dataflow_id": "a"}, step("Upper", input_key="typo"))
    assert work.error is not None
    assert work.error.kind == "missing_column"
    assert "'typo'" in work.error.message


def test_pictures_of_an_input_key_are_below_the_meta_folder(ground: Ground) -> None:
    row = {"dataflow_id": "a", "own": "b.png", "bad": "../b.png"}
    (work,) = works(ground, row, step("Look", input_key="own"))
    assert work.value == str(ground.source / "b.png")
    (work,) = works(ground, row, step("Look", input_key="bad"))
    assert work.error is not None
    assert work.error.kind == "outside_meta_folder"


@pytest.mark.parametrize("name", ["first", "short"])
def test_an_input_key_may_be_an_earlier_steps_asset_or_output_key(
    ground: Ground, name: str
) -> None:
    ground.rows({"text": "x"})
    outcome = ground.run(
        step("Upper", asset="first", output_key="short", prompt="1 "),
        step("Upper", prompt="2 "),
        step("Upper", input_key=name, prompt="3 "),
    )
    assert outcome.rows()[0]["text"] == "3 1 X"


@pytest.mark.parametrize("name", ["first", "picture"])
def test_an_input_key_may_be_an_earlier_steps_pictures(ground: Ground, name: str) -> None:
    ground.rows({"text": "x", "id": 1})
    outcome = ground.run(
        step("Paint", asset="first", output_key="picture"),
        step("Paint"),
        step("Look", input_key=name, asset="looks"),
    )
    looked = outcome.rows("looks")[0]
    assert looked["dataflow_looks"]["text"].startswith("4x4")
    assert outcome.rows()[0]["picture"] == "first/1_generated.png"


def test_an_input_key_of_another_medium_is_no_pipeline(ground: Ground) -> None:
    with pytest.raises(PipelineError, match="'texts' is the text of step 1; Look reads image"):
        ground.pipeline(step("Upper"), step("Look", input_key="texts"))
