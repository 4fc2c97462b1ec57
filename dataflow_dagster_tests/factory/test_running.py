from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster_tests.toys.pipelines import (
    SHOUT,
    pipeline,
    read_rows,
    text_rows,
    with_config,
    write_rows,
)
from dataflow_dagster_tests.toys.process import run_python
from dataflow_dagster_tests.toys.runs import failure_of, materialize, told

pytestmark = pytest.mark.usefixtures("toys")

DIES = """
import sys
from pathlib import Path
import dagster as dg
import dataflow_dagster_tests.toys.registered
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.toys.runs import materialize
with dg.DagsterInstance.local_temp("home") as instance:
    materialize(load_pipeline(Path("demo.yaml")), instance=instance, shards=(0, 7))
"""


def test_one_partition_alone_is_written_and_recorded_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=4, rows=text_rows(10))
    assert materialize(of, instance=instance, partition_key="00001-of-00004").success
    out = tmp_path / "demo/out/result"
    assert [path.name for path in out.glob("*.jsonl")] == ["00001-of-00004.jsonl"]
    texts = [row["text"] for row in read_rows(out / "00001-of-00004.jsonl")]
    assert texts == ["ROW 2", "ROW 3", "ROW 4"]
    for asset in ("raw_meta", "texts", "results"):
        key = dg.AssetKey(["demo", asset])
        assert instance.get_materialized_partitions(key) == {"00001-of-00004"}
        assert len(instance.fetch_materializations(key, limit=9).records) == 1


def test_a_range_in_one_run_opens_the_engine_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    trace = tmp_path / "trace"
    of = pipeline(tmp_path, [with_config(SHOUT, trace=str(trace))], shards=4, rows=text_rows(10))
    assert materialize(of, instance=instance, shards=(1, 3)).success
    assert trace.read_text().splitlines() == ["open None", "close"]
    done = {f"0000{n}-of-00004" for n in (1, 2, 3)}
    assert instance.get_materialized_partitions(dg.AssetKey(["demo", "results"])) == done
    assert {path.stem for path in (tmp_path / "demo/out/result").glob("*.jsonl")} == done


def test_all_shards_together_are_the_input_in_order(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(10))
    assert materialize(of, instance=instance, shards=(0, 2)).success
    files = sorted((tmp_path / "demo/out/result").glob("*.jsonl"))
    ids = [row["id"] for path in files for row in read_rows(path)]
    assert ids == [str(number) for number in range(10)]


def test_each_partition_shows_its_own_numbers(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=3, rows=text_rows(10))
    materialize(of, instance=instance, shards=(0, 2))
    shown = {
        record.partition_key: record.asset_materialization.metadata["dagster/row_count"].value
        for record in instance.fetch_materializations(
            dg.AssetKey(["demo", "texts"]), limit=3
        ).records
        if record.asset_materialization is not None
    }
    assert sorted(shown) == ["00000-of-00003", "00001-of-00003", "00002-of-00003"]
    assert sum(int(str(count)) for count in shown.values()) == 10


def test_a_process_that_dies_at_the_fourth_shard_keeps_the_three_before(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    step = with_config(SHOUT, dies_at="row 6")
    pipeline(tmp_path, [step], shards=8, rows=text_rows(16))
    died = run_python(tmp_path, "-c", DIES)
    assert died.returncode == 9, died.stderr
    key = dg.AssetKey(["demo", "texts"])
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        kept = instance.get_materialized_partitions(key)
        assert kept == {"00000-of-00008", "00001-of-00008", "00002-of-00008"}
        (newest,) = instance.fetch_materializations(key, limit=1).records
        assert newest.asset_materialization is not None
        tags = newest.asset_materialization.tags or {}
        assert tags["dagster/code_version"]
        assert tags["dagster/data_version"]

        survives = pipeline(tmp_path, [SHOUT], shards=8, rows=text_rows(16))
        again = materialize(survives, instance=instance, shards=(0, 7))
        assert again.success
        files = (tmp_path / "demo/out/result").glob("*.jsonl")
        assert sum(len(read_rows(path)) for path in files) == 16
        reused = [
            e.materialization.metadata["reused"].value
            for e in again.get_asset_materialization_events()
            if e.asset_key == key and "reused" in e.materialization.metadata
        ]
        assert reused[:4] == [2, 2, 2, 0]


def test_a_missing_input_is_told_in_one_line(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "gone.jsonl")))
    assert not result.success
    assert failure_of(result, "demo__raw_meta").startswith(f"{tmp_path}/gone.jsonl: there is no")


def test_an_unset_variable_is_told_by_file_and_line_when_the_step_runs(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [with_config(SHOUT, api_key="${TOY_KEY_NOT_SET}")])
    result = materialize(of)
    said = failure_of(result, "demo__raw_meta")
    assert said.startswith(f"{tmp_path}/demo.yaml:9: steps[0].config.api_key: ")
    assert "TOY_KEY_NOT_SET is not set" in said


def test_an_unwritable_save_folder_is_told_and_what_is_above_stays(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], save_folder=str(tmp_path / "taken/out"))
    assert materialize(of, assets=["raw_meta", "texts"]).success
    (tmp_path / "taken").write_text("a file where a folder should be")
    result = materialize(of, assets=["results"])
    assert "taken" in failure_of(result, "demo__results")
    assert (tmp_path / "demo/base/step_1_Toy_Shouter/result.jsonl").is_file()


def test_a_variable_in_a_folder_leads_all_assets_to_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_PLACE", str(tmp_path / "place"))
    of = pipeline(tmp_path, [SHOUT], base_folder="${TOY_PLACE}/$HOME/base")
    assert materialize(of).success
    assert (tmp_path / "place/$HOME/base/step_1_Toy_Shouter/result.jsonl").is_file()


def test_a_second_run_of_unchanged_input_computes_nothing(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    materialize(of)
    again = materialize(of)
    assert told(again, "demo", "texts")["reused"] == 4
    assert told(again, "demo", "texts")["computed"] == 0


def test_a_changed_input_is_read_again(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    materialize(of)
    write_rows(tmp_path / "demo/in.jsonl", text_rows(6))
    again = told(materialize(of), "demo", "texts")
    assert (again["reused"], again["computed"]) == (4, 2)


@pytest.mark.parametrize("key", ["base_folder", "save_folder"])
def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path: Path, key: str) -> None:
    (tmp_path / "taken").write_text("a file")
    of = pipeline(tmp_path, [SHOUT], **{key: str(tmp_path / "taken/below")})
    result = materialize(of)
    assert failure_of(result, "demo__raw_meta") == (
        f"{key}: {tmp_path}/taken/below cannot be written: {tmp_path}/taken is a file"
    )
    assert not (tmp_path / "demo/base").exists()
