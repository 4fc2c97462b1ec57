from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.steps.layout import Layout
from dataflow_dagster_tests.toys.pipelines import (
    NAME,
    PAINT,
    SHOUT,
    pipeline,
    read_rows,
    with_config,
    write_rows,
)
from dataflow_dagster_tests.toys.runs import materialize, told

pytestmark = pytest.mark.usefixtures("toys")
ROWS = [{"id": str(n), "text": "bad" if n < 2 else "good"} for n in range(4)]


def _evaluation(
    result: dg.ExecuteInProcessResult, asset: str, check: str = "failed_share"
) -> dg.AssetCheckEvaluation:
    (found,) = (
        e
        for e in result.get_asset_check_evaluations()
        if (e.asset_key.path[-1], e.check_name) == (asset, check)
    )
    return found


def test_without_a_limit_failed_rows_warn_and_the_rest_goes_on(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS))
    assert result.success
    check = _evaluation(result, "texts")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "2 of 4 rows failed here (bad_text: 2)"
    assert _evaluation(result, "generated_images").passed
    assert len(read_rows(tmp_path / "demo/out/result.jsonl")) == 4


def test_above_max_failed_the_check_blocks_what_lies_below(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS, max_failed=0.4))
    assert not result.success
    check = _evaluation(result, "texts")
    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.ERROR,
        True,
    )
    assert "more than max_failed 40.0%" in str(check.description)
    assert not (tmp_path / "demo/base/step_2_Toy_Painter").exists()
    assert not (tmp_path / "demo/out/result.jsonl").exists()


def test_at_max_failed_the_results_are_complete(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS, max_failed=0.5))
    assert result.success
    assert _evaluation(result, "texts").passed
    assert [row["id"] for row in read_rows(tmp_path / "demo/out/result.jsonl")] == list("0123")
    assert len(read_rows(tmp_path / "demo/out/errors.jsonl")) == 2


def test_every_step_and_the_results_are_complete(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS))
    for asset in ("texts", "generated_images", "results"):
        check = _evaluation(result, asset, "complete")
        assert (check.passed, check.blocking) == (True, True)
        assert check.description == "4 of 4 rows are here, each in its place"


def test_repeated_answers_are_complete_where_each_row_has_all_of_its_own(tmp_path: Path) -> None:
    step = with_config(SHOUT, repeat_time=3)
    result = materialize(pipeline(tmp_path, [step, PAINT], rows=ROWS))
    assert _evaluation(result, "texts", "complete").description == (
        "12 of 12 rows are here, each in its place"
    )
    assert _evaluation(result, "results", "complete").passed


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["0", "2", "1", "3"], "the ids are not those of the rows read"),
        (["0", "1", "2"], "3 rows where 4 belong"),
    ],
)
def test_a_shard_that_lost_or_shuffled_rows_stops_what_lies_below(
    tmp_path: Path, ids: list[str], said: str
) -> None:
    of = pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS)
    assert materialize(of).success
    shard = Layout(of).shard("texts")
    rows = {row["id"]: row for row in shard.rows()}
    write_rows(shard.path, [rows[one] for one in ids])
    shard.review_path.unlink()
    manifest = shard.manifest_path
    (kept,) = read_rows(manifest)
    kept["tally"] |= {"failed": 0}
    write_rows(manifest, [{**kept, "size": shard.path.stat().st_size}])
    result = materialize(of, assets=["texts", "generated_images"])
    assert not result.success
    check = _evaluation(result, "texts", "complete")
    assert not check.passed
    assert said in str(check.description)


def test_empty_and_repeated_texts_are_told_with_examples(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": "..." if n == 0 else "same"} for n in range(8)]
    result = materialize(pipeline(tmp_path, [SHOUT], rows=rows))
    empty = _evaluation(result, "texts", "empty_texts")
    assert (empty.passed, empty.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert empty.description == "1 of 8 texts are empty (12.5%), more than 0%"
    assert "| 0 | ... |" in str(empty.metadata["examples"].value)
    repeated = _evaluation(result, "texts", "repeated_texts")
    assert repeated.description == ("6 of 8 texts are equal to another row's (75%), more than 50%")
    assert "| 7 | SAME |" in str(repeated.metadata["most_common"].value)
    assert result.success


def test_blank_and_repeated_pictures_warn(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [PAINT], rows=ROWS))
    blank = _evaluation(result, "generated_images", "blank_pictures")
    assert blank.description == "4 of 4 pictures are of one colour (100%), more than 0%"
    repeated = _evaluation(result, "generated_images", "repeated_pictures")
    assert str(repeated.description).startswith("3 of 4 pictures are equal to another row's")


def test_what_the_yaml_asks_for_is_checked_and_blocks_where_it_says_so(tmp_path: Path) -> None:
    asked = {"length": {"least": 5, "most": 9, "share": 0.25}, "refusals": 0.1, "blocking": True}
    rows = [{"id": str(n), "text": "hello " * n} for n in range(1, 5)]
    of = pipeline(tmp_path, [{**SHOUT, "checks": asked}, PAINT], rows=rows)
    result = materialize(of)
    assert not result.success
    lengths = _evaluation(result, "texts", "lengths")
    assert (lengths.passed, lengths.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert lengths.description == "3 of 4 texts have not 5 to 9 characters (75%), more than 25%"
    assert _evaluation(result, "texts", "refusals").passed
    names = {e.check_name for e in result.get_asset_check_evaluations()}
    assert "echoes" not in names


def test_a_reused_shard_has_its_verdicts_and_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": str(n), "text": "same"} for n in range(4)]
    of = pipeline(tmp_path, [SHOUT], rows=rows)
    first = _evaluation(materialize(of), "texts", "repeated_texts")

    def no_pass(*_: object) -> None:
        raise AssertionError("the rows were looked at again")

    monkeypatch.setattr("dataflow_dagster.steps.inspection._Inspection", no_pass)
    again = _evaluation(materialize(of), "texts", "repeated_texts")
    assert (again.passed, again.description) == (first.passed, first.description)


def test_other_thresholds_are_judged_of_the_same_shard(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": "same"} for n in range(4)]
    assert not _evaluation(
        materialize(pipeline(tmp_path, [SHOUT], rows=rows)), "texts", "repeated_texts"
    ).passed
    lenient = pipeline(tmp_path, [{**SHOUT, "checks": {"repeated": 0.75}}], rows=rows)
    result = materialize(lenient)
    assert _evaluation(result, "texts", "repeated_texts").passed
    assert told(result, "demo", "texts")["computed"] == 0


def test_the_verdict_on_several_shards_is_one(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    rows = [{"id": str(n), "text": ["...", "a"][n % 2]} for n in range(6)]
    of = pipeline(tmp_path, [SHOUT], rows=rows, shards=3)
    result = materialize(of, instance=instance, shards=(0, 2))
    assert _evaluation(result, "texts", "empty_texts").metadata["found"].value == 3
    assert _evaluation(result, "texts", "complete").metadata["shards"].value == 3


def test_it_names_the_shards_and_each_partition_has_its_own_verdicts(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    texts = ["...", "...", "...", "a", "bad", "c", "d", "e"]
    rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
    of = pipeline(tmp_path, [SHOUT], rows=rows, shards=4)
    result = materialize(of, instance=instance, shards=(0, 3))
    empty = _evaluation(result, "texts", "empty_texts")
    assert str(empty.metadata["shards_with_most"].value).splitlines()[2:] == [
        "| 00000-of-00004 | 2 | 2 |",
        "| 00001-of-00004 | 1 | 2 |",
    ]
    failed = _evaluation(result, "texts").metadata["shards_with_most"].value
    assert str(failed).splitlines()[2:] == ["| 00002-of-00004 | 1 | 2 |"]
    judged = {
        event.partition: str(event.materialization.metadata["checks"].value)
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(["demo", "texts"])
    }
    assert "| not kept | empty\\_texts | 2 of 2 texts are empty (100%)" in judged["00000-of-00004"]
    assert "| kept | empty\\_texts | 0 of 2 texts are empty (0%)" in judged["00003-of-00004"]
    assert "| kept | complete | 2 of 2 rows are here" in judged["00003-of-00004"]
    alone = materialize(of, instance=instance, partition_key="00002-of-00004")
    assert (
        "| not kept | failed\\_share | 1 of 2 rows failed" in told(alone, "demo", "texts")["checks"]
    )


def test_results_and_raw_meta_are_held_to_both_as_steps_are(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [PAINT], rows=ROWS, max_failed=0.1)
    assert materialize(of).success
    (tmp_path / "demo/out/generated_images").rename(tmp_path / "elsewhere")
    (tmp_path / "demo/out/generated_images").symlink_to(tmp_path / "elsewhere")
    result = materialize(of, recompute=True)
    failed = _evaluation(result, "results")
    assert not failed.passed
    assert str(failed.description).startswith("4 of 4 rows failed here (outside_folder: 4)")
    whole = _evaluation(result, "raw_meta", "complete")
    assert (whole.passed, whole.blocking) == (True, True)
    assert whole.description == "4 of 4 rows are here, each in its place"


def test_where_no_row_has_what_a_step_reads_the_check_warns_in_words(tmp_path: Path) -> None:
    rows = [{"id": str(n), "img": "x.png"} for n in range(5)]
    result = materialize(pipeline(tmp_path, [NAME, {**SHOUT, "input_key": "img"}], rows=rows))
    assert result.success
    check = _evaluation(result, "captions")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == (
        "no row has a picture: all 5 were left alone; image_key is 'image'"
    )
    assert _evaluation(result, "texts").passed


def test_a_shard_without_pictures_beside_one_that_has_some_is_no_reason_to_warn(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    rows = [{"id": "a", "text": "x"}, {"id": "b", "other": "y"}]
    of = pipeline(tmp_path, [SHOUT], rows=rows, shards=2)
    result = materialize(of, instance=instance, shards=[0, 1])
    assert _evaluation(result, "texts").passed
    assert "not kept" not in str(told(result, "demo", "texts"))


def test_an_empty_input_is_no_reason_to_warn(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT], rows=[]))
    assert _evaluation(result, "texts").passed
