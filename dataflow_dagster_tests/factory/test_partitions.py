from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataflow_dagster.factory.partitions import (
    backfill_policy,
    partitions_of,
    place_of,
    register_shards,
    shard_key,
    shard_keys,
    stretches,
)
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, read_rows, text_rows, write_rows
from dataflow_dagster_tests.toys.process import run_python

pytestmark = pytest.mark.usefixtures("toys")


def test_eight_shards_have_keys_that_carry_the_total(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], shards=8)
    partitions = partitions_of(of)
    assert isinstance(partitions, dg.StaticPartitionsDefinition)
    keys = partitions.get_partition_keys()
    assert keys == shard_keys(of)
    assert (keys[0], keys[-1], len(keys)) == ("00000-of-00008", "00007-of-00008", 8)


def test_without_shards_there_are_no_partitions(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    assert partitions_of(of) is None
    assert backfill_policy(of) is None
    assert shard_keys(of) == []


def test_a_key_says_which_part_of_how_many_it_is() -> None:
    assert place_of(shard_key(3, 8)) == (3, 8)
    assert place_of(None) == (0, 1)


@pytest.mark.parametrize(
    ("wanted", "most", "runs"),
    [
        ("abcdef", None, ["abcdef"]),
        ("abcdef", 4, ["abcd", "ef"]),
        ("fbca", None, ["abc", "f"]),
        ("abdef", 2, ["ab", "de", "f"]),
        ("", None, []),
    ],
)
def test_a_run_takes_neighbours_and_no_more_than_it_may(
    tmp_path: Path, wanted: str, most: int | None, runs: list[str]
) -> None:
    keys = {} if most is None else {"shards_per_run": most}
    of = pipeline(tmp_path, [SHOUT], shards=6, **keys)
    assert ["".join(run) for run in stretches(of, wanted, "abcdef")] == runs


def test_files_are_partitions_of_every_instance_that_asks(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    for name in "ba":
        write_rows(tmp_path / f"in/{name}.jsonl", text_rows(1))
    of = pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "in"), files_per_shard=1)
    assert shard_keys(of) == []
    assert register_shards(of, instance) == ["00000-a", "00001-b"]
    assert register_shards(of, instance) == []
    with dg.DagsterInstance.ephemeral() as other:
        register_shards(of, other)
        assert other.get_dynamic_partitions("demo_files") == ["00000-a", "00001-b"]
    assert instance.get_dynamic_partitions("demo_files") == ["00000-a", "00001-b"]
    assert isinstance(partitions_of(of), dg.DynamicPartitionsDefinition)


@pytest.mark.slow
def test_dagsters_own_command_takes_one_shard_of_files(
    tmp_path: Path, stored_instance: dg.DagsterInstance
) -> None:
    for name in "ab":
        write_rows(tmp_path / f"in/{name}.jsonl", [{"id": name, "text": name}])
    keys: dict[str, Any] = {"files_per_shard": 1, "shards_per_run": 1}
    of = pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "in"), **keys)
    register_shards(of, stored_instance)
    (tmp_path / "home/dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    done = run_python(
        tmp_path,
        *("-m", "dagster", "asset", "materialize", "-m", "dataflow_dagster.definitions"),
        *("--select", "group:demo", "--partition", "00001-b"),
        extra={"DAGSTER_HOME": str(tmp_path / "home"), "DATAFLOW_PIPELINES": str(of.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = read_rows(tmp_path / "demo/out/result/00001-b.jsonl")
    assert (row["id"], row["text"]) == ("b", "B")
    results = dg.AssetKey(["demo", "results"])
    assert stored_instance.get_materialized_partitions(results) == {"00001-b"}


def test_one_run_takes_all_shards_unless_the_yaml_bounds_it(tmp_path: Path) -> None:
    assert backfill_policy(pipeline(tmp_path, [SHOUT], shards=8)) == dg.BackfillPolicy.single_run()
    bounded = pipeline(tmp_path, [SHOUT], shards=8, shards_per_run=2)
    assert backfill_policy(bounded) == dg.BackfillPolicy.multi_run(2)
