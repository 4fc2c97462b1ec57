import json
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.export.failures import Failures
from dataflow_dagster.rows import Row
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.progress import Silent
from dataflow_dagster.steps.raw_meta import (
    RawMeta,
    input_index,
    raw_meta_fingerprint,
    source_media,
)
from dataflow_dagster.steps.shard_run import HopelessStepError
from dataflow_dagster_tests.steps.driving import Ground, draw, step

ROWS: list[Row] = [
    {"image": "a.png", "text": "żółć 🐈\u2028", "n": 1, "none": None},
    {"image": "b.png", "text": 'x\ny\t"q"', "n": 2, "none": None},
]


def write_as(folder: Path, ending: str) -> Path:
    import pandas as pd

    path, frame = folder / f"rows{ending}", pd.DataFrame(ROWS)
    match ending:
        case ".csv":
            frame.to_csv(path, index=False)
        case ".tsv":
            frame.to_csv(path, index=False, sep="\t")
        case ".parquet":
            frame.to_parquet(path)
        case ".json":
            path.write_text(json.dumps(ROWS))
        case _:
            path.write_text("\n\n".join(map(json.dumps, ROWS)))
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".json", ".jsonl"])
def test_every_format_gives_the_same_rows(ground: Ground, ending: str) -> None:
    path = write_as(ground.source, ending)
    for name in ("a.png", "b.png"):
        draw(ground.source / name)
    outcome = ground.run(step("Look", output_key="seen"), meta_path=str(path))
    for row, given in zip(outcome.rows(), ROWS, strict=True):
        assert row["dataflow_source_text"] == given["text"]
        assert row["seen"] == row["text"] == "4x4 (255, 0, 0)"
        assert (row["image"], str(row["n"])) == (given["image"], str(given["n"]))  # csv is text
        assert not row["none"]
    assert [row["dataflow_name"] for row in outcome.rows("raw_meta")] == ["a.png", "b.png"]


def test_a_folder_of_pictures_is_one_row_a_picture(ground: Ground) -> None:
    for name in ("b.png", "deep/a.jpg", "a.png"):
        draw(ground.source / name)
    outcome = ground.run(step("Look"), meta_path=str(ground.source), image_key="picture")
    assert [row["picture"] for row in outcome.rows()] == ["a.png", "b.png", "deep/a.jpg"]
    assert outcome.tally("captions").computed == 3


def test_columns_of_the_user_are_untouched(ground: Ground) -> None:
    row = {
        "id": 7,
        "text": "the user's own text column",
        "words": "read this",
        "deep": {"a": [1, None, {"ü": "😀"}], "": ""},
        "big": 2**200,
        "negative": -(2**63),
        "float": 0.1,
        "whole": 1.0,
        "true": True,
        "empty": [],
        "none": None,
        "": "no name",
        "with.dot and space": 1,
    }
    ground.rows(row)
    outcome = ground.run(step("Upper"), text_key="words")
    assert outcome.rows() == [{**row, "words": "READ THIS", "dataflow_source_words": "read this"}]
    assert json.dumps(outcome.rows("texts")[0]["whole"]) == "1.0"
    own = {key: value for key, value in outcome.rows("raw_meta")[0].items() if key in row}
    assert own == row


def test_equal_rows_without_an_id_get_ids_of_their_own(ground: Ground) -> None:
    ground.rows({"text": "x"}, {"text": "y"}, {"text": "x"})
    ids = [row["dataflow_id"] for row in ground.run(step("Upper")).rows("raw_meta")]
    assert len(set(ids)) == 3
    assert ids[2] == f"{ids[0]}-1"


def test_a_second_row_of_one_id_fails_and_names_the_first(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "x"}, {"id": 2, "text": "y"}, {"id": "1", "text": "z"})
    outcome = ground.run(step("Upper"))
    assert outcome.kinds("results") == [None, None, "repeated_id"]
    assert "row 1" in outcome.errors()[0]["message"]
    assert [row["text"] for row in outcome.rows()] == ["X", "Y", "z"]


def test_equal_image_names_get_the_hash_of_their_id_in_any_shard(ground: Ground) -> None:
    ground.rows(
        *({"id": n, "image": "deep/A.png" if n else "deep/a.png", "text": "x"} for n in range(4))
    )
    whole = ground.run(step("Paint"))
    names = [row["dataflow_name"] for row in whole.rows("raw_meta")]
    assert names[0] == "deep/a.png"
    assert len({name.casefold() for name in names}) == 4
    split = ground.run(step("Paint"), shards=3)
    assert [row["dataflow_name"] for row in split.rows("raw_meta")] == names
    assert len(list((ground.folder / "out").rglob("*_generated.png"))) == 4


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"dataflow_text": "x"}, "reserved_column"),
        ({"dataflow_text": None}, None),
        ({"dataflow_source_text": "kept"}, None),
        ({"text": 3}, "bad_value"),
        ({"text": ["x"]}, "bad_value"),
        ({"text": {"a": 1}}, "bad_value"),
        ({"text": True}, "bad_value"),
    ],
)
def test_what_is_no_text_or_no_column_of_the_user_costs_one_row(
    ground: Ground, row: Row, kind: str | None
) -> None:
    ground.rows({"text": "good"}, row, {"text": "also good"})
    outcome = ground.run(step("Upper"))
    assert outcome.kinds("raw_meta") == [None, kind, None]
    assert [outcome.rows()[n]["text"] for n in (0, 2)] == ["GOOD", "ALSO GOOD"]


def test_a_malformed_line_costs_one_row_and_is_told_with_its_number(ground: Ground) -> None:
    (ground.source / "rows.jsonl").write_bytes(b'{"text":"a"}\n{"text":\n\n[1]\n{"text":"b"}')
    outcome = ground.run(step("Upper"))
    assert [row.get("text") for row in outcome.rows()] == ["A", None, None, "B"]
    first, second = outcome.errors()
    assert ("line 2" in first["message"], "line 4" in second["message"]) == (True, True)
    assert first["step"] == "raw_meta"


def test_no_rows_are_no_rows_everywhere(ground: Ground) -> None:
    for kind in ("jsonl", "parquet"):
        (ground.source / "rows.jsonl").touch()
        outcome = ground.run(step("Upper"), step("Paint"), format=kind, shards=2)
        assert outcome.rows() == outcome.rows("texts") == []
        assert ground.opened() == 0


def test_more_shards_than_rows_leave_some_empty(ground: Ground) -> None:
    ground.rows({"text": "a"}, {"text": "b"})
    outcome = ground.run(step("Upper"), shards=5)
    assert [row["text"] for row in outcome.rows()] == ["A", "B"]


def test_an_unchanged_input_is_not_read_again(ground: Ground) -> None:
    ground.rows({"text": "a"})
    steps: Any = step("Upper")
    ground.run(steps)
    again = ground.run(steps)
    assert again.tally("raw_meta").reused == 1
    ground.rows({"text": "a"}, {"text": "b"})
    assert ground.run(steps).tally("raw_meta").computed == 2


def test_media_are_read_from_the_users_columns_where_no_earlier_step_wrote_them(
    ground: Ground,
) -> None:
    assert source_media(ground.pipeline(step("Look"), step("Paint"))) == {"image"}
    assert source_media(ground.pipeline(step("Paint"), step("Look"))) == {"text"}
    assert source_media(ground.pipeline(step("Upper", input_key="own"))) == set()


def test_the_fingerprint_holds_the_keys_of_the_rows(ground: Ground) -> None:
    told = [{}, {"text_key": "words"}, {"id_key": "nr"}, {"meta_folder": "else"}]
    prints = {raw_meta_fingerprint(ground.pipeline(step("Upper"), **keys)) for keys in told}
    assert len(prints) == 4
    same = ground.pipeline(step("Upper", prompt="!"), seed=4, save_folder="x")
    assert raw_meta_fingerprint(same) in prints


def test_where_the_first_rows_all_fail_alike_the_run_stops_with_the_reason(ground: Ground) -> None:
    ground.rows(*({"key": n + 0.5, "text": "t"} for n in range(600)))
    with pytest.raises(HopelessStepError, match=r"first 300 rows read all failed with 'bad_id'"):
        ground.run(step("Upper"), id_key="key")
    outcome = ground.run(step("Upper"), id_key="key", max_failed=1.0)
    assert outcome.tally("raw_meta").failed == 600


@pytest.mark.parametrize("shards", [1, 2])
def test_a_good_row_in_this_shard_or_an_earlier_one_proves_that_not_all_fail(
    ground: Ground, shards: int
) -> None:
    ground.rows({"key": 1}, *({"key": n + 0.5} for n in range(1, 800)))
    for _ in range(2):
        assert (
            ground.run(step("Upper"), id_key="key", shards=shards).tally("raw_meta").failed == 799
        )


def test_an_id_that_is_none_is_told_of_once(ground: Ground) -> None:
    ground.rows({"id": 1.5}, {"id": 2.5}, {"id": 3.0})
    pipeline = ground.pipeline(step("Upper"))
    said: list[str] = []

    class Heard(Silent):
        def say(self, what: str) -> None:
            said.append(what)

    raw_meta = RawMeta(pipeline, input_index(pipeline), Heard())
    raw_meta.write_shard(Layout(pipeline).shard("raw_meta"), 0, 1, recompute=False)
    assert said == [
        "row 1: column 'id' is 1.5, no text or whole number: rows like it are known by a hash of"
        " their content"
    ]


def test_a_refused_row_is_listed_as_it_was_given(ground: Ground) -> None:
    row = {"id": 1, "text": "x", "dataflow_mine": [1, "precious"]}
    ground.rows(row, {"id": 2, "text": "y"})
    outcome = ground.run(step("Upper"))
    (error,) = outcome.errors()
    assert {name: error["row"][name] for name in row} == row
    (failure,) = Failures(outcome.pipeline, [None])
    assert failure.row.items() >= row.items()
    assert "dataflow_given" not in outcome.rows()[0]


def test_failed_rows_of_earlier_results_are_tried_again_as_an_input(ground: Ground) -> None:
    ground.rows({"id": 1, "text": "t0"}, {"id": 2, "text": "t1"})
    first = ground.run(step("Upper", refuses=["t1"]))
    assert "dataflow_error" in first.rows()[1]
    again = ground.run(
        step("Upper"),
        meta_path=str(ground.folder / "out/result.jsonl"),
        base_folder=str(ground.folder / "base2"),
        save_folder=str(ground.folder / "out2"),
    )
    assert again.kinds("results") == [None, None]
    assert again.rows()[1]["text"] == "T1"
