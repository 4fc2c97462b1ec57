import shutil
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.steps.raw_meta import input_index
from dataflow_dagster_tests.steps.driving import Ground, draw, step, write_rows


def look(ground: Ground, *steps: dict[str, Any], **keys: Any) -> None:
    input_index(ground.pipeline(*steps, **keys))


def test_a_pipeline_that_would_write_over_its_own_input_does_not_start(ground: Ground) -> None:
    rows = write_rows(ground.folder / "out/result.jsonl", [{"text": "x"}])
    before = rows.read_bytes()
    with pytest.raises(InputError, match="is written by this pipeline too"):
        ground.run(step("Upper"), meta_path=str(rows))
    assert rows.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "out/result.parquet",
        "out/errors.jsonl",
        "out/result/1.jsonl",
        "base/step_1_Probe_Upper/result.jsonl",
    ],
)
def test_any_file_that_is_written_is_no_input(ground: Ground, name: str) -> None:
    rows = write_rows(ground.folder / name, [{"text": "x"}])
    with pytest.raises(InputError):
        look(ground, step("Upper"), meta_path=str(rows))


def test_an_input_behind_a_link_is_known(ground: Ground) -> None:
    rows = write_rows(ground.folder / "out/result.jsonl", [{"text": "x"}])
    (ground.folder / "link.jsonl").symlink_to(rows)
    (ground.folder / "other").symlink_to(ground.folder / "out")
    with pytest.raises(InputError):
        look(ground, step("Upper"), meta_path=str(ground.folder / "link.jsonl"))
    with pytest.raises(InputError):
        look(ground, step("Upper"), meta_path=str(rows), save_folder=str(ground.folder / "other"))


def test_a_source_beside_the_results_is_fine(ground: Ground) -> None:
    rows = write_rows(ground.folder / "out/mine.jsonl", [{"text": "x"}])
    outcome = ground.run(step("Paint"), meta_path=str(rows))
    assert ground.run(step("Paint"), meta_path=str(rows)).rows() == outcome.rows()


@pytest.mark.parametrize("key", ["base_folder", "save_folder"])
@pytest.mark.parametrize("below", ["", "deep/er"])
def test_what_is_drawn_into_a_folder_of_pictures_does_not_become_its_input(
    ground: Ground, key: str, below: str
) -> None:
    draw(ground.source / "a.png")
    keys = {"meta_path": str(ground.source), key: str(ground.source / below)}
    with pytest.raises(InputError, match=f"holds {key}"):
        look(ground, step("Look"), step("Paint"), **keys)


def test_a_folder_of_pictures_may_hold_what_holds_no_pictures(ground: Ground) -> None:
    draw(ground.source / "a.png")
    draw(ground.source / "b.png")
    keys = {
        "meta_path": str(ground.source),
        "base_folder": str(ground.source / "base"),
        "save_folder": str(ground.source / ".out"),
    }
    first = ground.run(step("Look"), **keys)
    assert len(first.rows()) == 2
    assert ground.run(step("Look"), **keys).tally("captions").reused == 2


def test_results_are_not_written_among_the_files_of_a_folder_of_rows(ground: Ground) -> None:
    ground.rows({"text": "x"})
    keys = {"meta_path": str(ground.source), "save_folder": str(ground.source)}
    with pytest.raises(InputError, match="holds save_folder"):
        look(ground, step("Upper"), **keys)


def test_a_picture_in_a_folder_that_is_drawn_into_costs_its_row(ground: Ground) -> None:
    absent = ground.folder / "out/generated_images/a_generated.png"
    other = draw(ground.folder / "elsewhere/a.png")
    source = other.read_bytes()
    ground.rows({"id": 1, "image": str(absent)}, {"id": 2, "image": str(other)})
    outcome = ground.run(step("Look"), step("Paint"))
    assert outcome.kinds("raw_meta") == ["inside_output", None]
    assert outcome.rows()[1]["image"] == "generated_images/a_generated.png"
    assert other.read_bytes() == source


SOURCES_IN_THE_WAY: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "read by a step": ("out", "save_folder", [step("Look"), step("Paint")]),
    "read by no step": ("out", "save_folder", [step("Paint", input_key="caption")]),
    "in base_folder": ("base/step_2_Probe_Paint", "base_folder", [step("Look"), step("Paint")]),
}


@pytest.mark.parametrize("case", SOURCES_IN_THE_WAY)
@pytest.mark.parametrize("keys", [{}, {"shards": 2}])
def test_a_source_in_a_folder_that_is_drawn_into_stops_the_run_before_anything_is_drawn(
    ground: Ground, case: str, keys: dict[str, Any]
) -> None:
    folder, key, steps = SOURCES_IN_THE_WAY[case]
    own = draw(ground.folder / folder / "generated_images/0_generated.png")
    first = draw(ground.folder / folder / "0.png", (0, 0, 255))
    before = own.read_bytes(), first.read_bytes()
    names = [{"image": "0.png"}, {"id": "mine", "image": "generated_images/0_generated.png"}]
    ground.rows(*({"caption": "x", **row} for row in names))
    with pytest.raises(InputError) as stopped:
        ground.run(*steps, meta_folder=str(ground.folder / folder), **keys)
    assert f"row 'mine' names {own} (column 'image')" in stopped.value.reason
    assert f"name another {key}" in stopped.value.reason
    assert (own.read_bytes(), first.read_bytes()) == before


def test_a_source_behind_a_link_into_the_results_stops_the_run(ground: Ground) -> None:
    own = draw(ground.folder / "out/generated_images/0_generated.png")
    (ground.folder / "linked").symlink_to(own.parent)
    ground.rows({"text": "x", "image": str(ground.folder / "linked/0_generated.png")})
    with pytest.raises(InputError, match="could be drawn over"):
        ground.run(step("Paint"))


def test_a_source_put_where_a_run_missed_it_is_not_drawn_over_by_the_next(ground: Ground) -> None:
    draw(ground.folder / "out/0.png")
    ground.rows({"image": "0.png"}, {"image": "generated_images/1.png"})
    keys = {"meta_folder": str(ground.folder / "out")}
    assert ground.run(step("Look"), step("Paint"), **keys).kinds("raw_meta")[1] == "inside_output"
    draw(ground.folder / "out/generated_images/1.png")
    with pytest.raises(InputError, match="could be drawn over"):
        ground.run(step("Look"), step("Paint"), **keys)


def test_drawings_of_a_first_run_do_not_stop_a_second(ground: Ground) -> None:
    draw(ground.folder / "out/0.png")
    ground.rows({"image": "0.png"})
    keys = {"meta_folder": str(ground.folder / "out")}
    first = ground.run(step("Look"), step("Paint"), **keys)
    ground.rows({"image": "0.png", "n": 1})
    assert ground.run(step("Look"), step("Paint"), **keys).kinds("raw_meta") == [None]
    assert first.rows()[0]["image"] == "generated_images/0_generated.png"


def test_a_meta_folder_that_is_drawn_into_is_told(ground: Ground) -> None:
    ground.rows({"image": "a.png"})
    folder = str(ground.folder / "out/generated_images")
    with pytest.raises(InputError, match="is drawn into by this pipeline too"):
        look(ground, step("Look"), step("Paint"), meta_folder=folder)


def test_two_pipelines_may_follow_each_other(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png"})
    first = ground.run(step("Look"), step("Paint"))
    results = Path(first.pipeline.save_folder)
    second = ground.run(
        step("Look"),
        step("Paint"),
        meta_path=str(results / "result.jsonl"),
        base_folder=str(ground.folder / "base2"),
        save_folder=str(ground.folder / "out2"),
    )
    row = second.rows()[0]
    assert row["image"] == "generated_images/generated_images/a_generated_generated.png"
    assert row["dataflow_source_image"] == "a.png"
    assert row["dataflow_source_image_"] == "generated_images/a_generated.png"
    shutil.rmtree(results)
