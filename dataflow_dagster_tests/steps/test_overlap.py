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
    own = draw(ground.folder / "out/generated_images/a_generated.png")
    other = draw(ground.folder / "elsewhere/a.png")
    ground.rows({"id": 1, "image": str(own)}, {"id": 2, "image": str(other)})
    outcome = ground.run(step("Look"), step("Paint"))
    assert outcome.kinds("raw_meta") == ["inside_output", None]
    assert outcome.rows()[1]["image"] == "generated_images/a_generated.png"


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
