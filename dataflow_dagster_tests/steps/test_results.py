import pytest

from dataflow_dagster.ledger.shard import BrokenShardError
from dataflow_dagster.steps.results import results_fingerprint, under_user_keys
from dataflow_dagster_tests.steps.driving import Ground, draw, step


def test_answers_stand_under_the_users_keys_and_what_they_overwrote_beside() -> None:
    row = {"text": "own", "image": None, "n": 1, "dataflow_id": "a", "dataflow_key": "k"}
    assert under_user_keys(row, {"text": "new", "image": "x.png", "short": "s"}) == {
        "text": "new",
        "image": "x.png",
        "n": 1,
        "dataflow_source_text": "own",
        "short": "s",
    }


def test_results_of_results_keep_every_source() -> None:
    row = {"text": "2", "dataflow_source_text": "1", "dataflow_source_text_": "0"}
    assert under_user_keys(row, {"text": "3"}) == {
        "text": "3",
        "dataflow_source_text": "1",
        "dataflow_source_text_": "0",
        "dataflow_source_text__": "2",
    }


def test_each_chained_captioner_has_its_column_and_the_newest_has_the_text_key(
    ground: Ground,
) -> None:
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png", "text": "own"})
    outcome = ground.run(
        step("Look", output_key="first", prompt="1 "),
        step("Look", output_key="second", prompt="2 "),
        step("Look", prompt="3 "),
    )
    seen = "4x4 (255, 0, 0)"
    assert outcome.rows() == [
        {
            "image": "a.png",
            "text": f"3 {seen}",
            "dataflow_source_text": "own",
            "first": f"1 {seen}",
            "second": f"2 {seen}",
        }
    ]


def test_pictures_of_all_steps_are_saved_and_the_newest_has_the_image_key(ground: Ground) -> None:
    draw(ground.source / "deep/a.png")
    ground.rows({"image": "deep/a.png", "text": "x"})
    outcome = ground.run(step("Paint", output_key="sketch"), step("Paint", output_key="image"))
    (row,) = outcome.rows()
    assert row["sketch"] == "generated_images/deep/a_generated.png"
    assert row["image"] == "generated_images_2/deep/a_generated.png"
    assert row["dataflow_source_image"] == "deep/a.png"
    for name in (row["sketch"], row["image"]):
        assert (ground.folder / "out" / name).is_file()


def test_failed_rows_are_listed_with_their_reason_and_keep_earlier_answers(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "a"}, {"id": 2, "text": "b"}, {"id": 3, "text": None})
    outcome = ground.run(step("Upper", output_key="loud"), step("Upper", refuses=["B"]))
    assert outcome.rows()[1] == {
        "id": 2,
        "text": "B",
        "dataflow_source_text": "b",
        "loud": "B",
        "dataflow_error": {"step": "texts_2", "kind": "refused", "message": "no answer to B"},
    }
    (error,) = outcome.errors()
    assert (error["id"], error["step"], error["kind"]) == ("2", "texts_2", "refused")
    assert error["row"]["text"] == "b"
    assert outcome.tally("results").passed == 1
    ground.run(step("Upper", output_key="loud"), step("Upper"))
    assert not (ground.folder / "out/errors.jsonl").exists()


def test_a_list_of_errors_that_was_deleted_is_made_again(ground: Ground) -> None:
    ground.rows({"text": "unfit"}, {"text": "b"})
    ground.run(step("Upper"))
    (ground.folder / "out/errors.jsonl").unlink()
    assert len(ground.run(step("Upper")).errors()) == 1


def test_unchanged_results_are_reused_and_a_deleted_picture_is_put_back(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "a"})
    first = ground.run(step("Paint"))
    assert ground.run(step("Paint")).tally("results").reused == 1
    saved = ground.folder / "out/generated_images/1_generated.png"
    drawn = saved.read_bytes()
    saved.unlink()
    assert ground.run(step("Paint")).tally("results").computed == 1
    assert saved.read_bytes() == drawn
    assert first.rows() == ground.run(step("Paint")).rows()


def test_a_link_in_the_save_folder_that_leads_out_costs_its_row(ground: Ground) -> None:
    outside = draw(ground.folder / "outside/a_generated.png")
    before = outside.read_bytes()
    folder = ground.folder / "out/generated_images"
    folder.mkdir(parents=True)
    (folder / "deep").symlink_to(outside.parent)
    ground.rows({"image": "deep/a.png", "text": "x"}, {"image": "b.png", "text": "y"})
    outcome = ground.run(step("Paint"))
    assert outcome.kinds("results") == ["outside_folder", None]
    assert outcome.errors()[0]["step"] == "results"
    assert outcome.tally("results").failed == 1
    assert outside.read_bytes() == before
    (folder / "deep").unlink()
    assert ground.run(step("Paint")).kinds("results") == [None, None]


def test_a_picture_that_a_step_drew_and_that_is_gone_says_what_to_do(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "x"})
    outcome = ground.run(step("Paint"))
    for drawn in ground.folder.rglob("1_generated.png"):
        drawn.unlink()
    from dataflow_dagster.steps.layout import RESULTS, Layout
    from dataflow_dagster.steps.results import Results

    layout = Layout(outcome.pipeline)
    with pytest.raises(BrokenShardError, match="materialize 'generated_images' again"):
        Results(outcome.pipeline).write_shard(
            layout.shard("generated_images"), layout.shard(RESULTS)
        )


def test_a_save_folder_that_cannot_be_made_is_a_clear_error(ground: Ground) -> None:
    ground.rows({"text": "x"})
    (ground.folder / "out").touch()
    with pytest.raises(OSError, match="out"):
        ground.run(step("Upper"))
    (ground.folder / "out").unlink()
    assert ground.run(step("Upper")).tally("texts").reused == 1


def test_a_picture_written_in_place_by_the_user_does_not_spoil_the_next_run(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "a"})
    ground.run(step("Paint"))
    saved = ground.folder / "out/generated_images/1_generated.png"
    drawn = saved.read_bytes()
    saved.write_bytes(b"scribble")
    ground.run(step("Paint"), recompute=True)
    assert saved.read_bytes() == drawn


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_both_formats_give_the_same_results(ground: Ground, kind: str) -> None:
    ground.rows({"id": 1, "text": "a", "n": [1, {"a": None}]}, {"id": 2, "text": "unfit", "n": [2]})
    outcome = ground.run(step("Upper", output_key="loud"), step("Paint"), format=kind)
    first, second = outcome.rows()
    assert (first["text"], first["loud"], first["image"]) == (
        "A",
        "A",
        "generated_images/1_generated.png",
    )
    assert first["n"] == [1, {"a": None}]
    assert second["dataflow_error"]["kind"] == "unfit"
    assert second["n"] == [2]
    again = ground.run(step("Upper", output_key="loud"), step("Paint"), format=kind)
    assert again.rows() == outcome.rows()
    assert ground.opened() == 0


def test_the_fingerprint_holds_the_keys_and_the_columns(ground: Ground) -> None:
    prints = {
        results_fingerprint(ground.pipeline(*steps, **keys))
        for steps, keys in (
            ((step("Upper"),), {}),
            ((step("Upper"),), {"text_key": "words"}),
            ((step("Upper", output_key="x"),), {}),
            ((step("Upper"), step("Paint")), {}),
        )
    }
    assert len(prints) == 4
