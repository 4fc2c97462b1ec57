"""Runs of files of which some cannot be read, or are not there any more."""

from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.partitions import register_shards, shard_keys
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, read_rows, write_rows
from dataflow_dagster_tests.toys.runs import failure_of, materialize

pytestmark = pytest.mark.usefixtures("toys")


class Incoming:
    """A folder of files, each a shard."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance

    def put(self, *names: str, of: str = "in") -> None:
        for name in names:
            rows = [{"id": f"{of}-{name}-{n}", "text": f"{name}{n}"} for n in range(2)]
            write_rows(self.folder / of / f"{name}.jsonl", rows)

    def take(self, *names: str) -> None:
        for name in names:
            (self.folder / "in" / f"{name}.jsonl").unlink()

    def pipeline(self, of: str = "in") -> PipelineSpec:
        where = str(self.folder / of)
        return pipeline(self.folder, [SHOUT], meta_path=where, files_per_shard=1)

    def run(self, of: str = "in") -> dg.ExecuteInProcessResult:
        spec = self.pipeline(of)
        register_shards(spec, self.instance)
        return materialize(spec, instance=self.instance, keys=shard_keys(spec))

    def partitions(self) -> list[str]:
        return list(self.instance.get_dynamic_partitions("demo_files"))

    def results(self) -> list[str]:
        folder = self.folder / "demo/out/result"
        return [row["text"] for path in sorted(folder.glob("*.jsonl")) for row in read_rows(path)]

    def recorded(self, asset: str) -> list[str]:
        key = dg.AssetKey(["demo", asset])
        return sorted(self.instance.get_materialized_partitions(key))


@pytest.fixture
def incoming(tmp_path: Path, instance: dg.DagsterInstance) -> Incoming:
    return Incoming(tmp_path, instance)


def test_a_shard_that_is_done_stays_as_it_is_when_its_file_is_gone(
    incoming: Incoming, capfd: pytest.CaptureFixture[str]
) -> None:
    incoming.put("a", "b")
    assert incoming.run().success
    incoming.take("a", "b")
    incoming.put("c")
    capfd.readouterr()
    assert incoming.run().success
    said = [line for line in capfd.readouterr().err.splitlines() if "stay as they are" in line]
    assert [line.partition("raw_meta: ")[2] for line in said] == [
        "2 shards stay as they are, since files of theirs are gone: 00000-a, 00001-b"
    ]
    assert incoming.results() == ["A0", "A1", "B0", "B1", "C0", "C1"]
    assert incoming.partitions() == ["00000-a", "00001-b", "00002-c"]


def test_a_shard_never_made_is_dropped_with_its_last_file(incoming: Incoming) -> None:
    incoming.put("a", "b")
    register_shards(incoming.pipeline(), incoming.instance)
    incoming.take("a")
    assert incoming.run().success
    assert incoming.partitions() == ["00001-b"]
    incoming.put("a")
    job = pipeline_definitions(incoming.pipeline()).resolve_job_def("demo_register")
    assert job.execute_in_process(instance=incoming.instance).success
    assert incoming.partitions() == ["00001-b", "00002-a"]


def test_a_file_that_cannot_be_read_stops_its_own_shard_and_the_run_at_its_end(
    incoming: Incoming,
) -> None:
    incoming.put("a", "c")
    bad = incoming.folder / "in" / "b.jsonl.gz"
    bad.write_bytes(b"no gzip")
    done = incoming.run()
    assert not done.success
    assert failure_of(done, "demo__results").startswith(
        f"1 of 3 shards were not made: 00001-b: {bad}"
    )
    assert incoming.results() == ["A0", "A1", "C0", "C1"]
    for asset in ("raw_meta", "texts", "results"):
        assert incoming.recorded(asset) == ["00000-a", "00002-c"]
    bad.unlink()
    again = incoming.run()
    assert again.success
    assert incoming.partitions() == ["00000-a", "00002-c"]


def test_a_file_that_is_mended_is_made_and_no_trace_stays(incoming: Incoming) -> None:
    incoming.put("a", "b")
    good = (incoming.folder / "in/b.jsonl").read_bytes()
    (incoming.folder / "in/b.jsonl").unlink()
    (incoming.folder / "in/b.jsonl").mkdir()
    register_shards(incoming.pipeline(), incoming.instance)
    (incoming.folder / "in/b.jsonl").rmdir()
    (incoming.folder / "in/b.jsonl").write_bytes(good)
    assert incoming.run().success
    assert not list((incoming.folder / "demo").rglob("*.unread"))


def test_where_no_file_can_be_read_the_first_asset_fails(incoming: Incoming) -> None:
    (incoming.folder / "in").mkdir()
    for name in "ab":
        (incoming.folder / "in" / f"{name}.jsonl.gz").write_bytes(b"no gzip")
    done = incoming.run()
    assert failure_of(done, "demo__raw_meta").startswith("2 of 2 shards were not made: 00000-a: ")


def test_another_meta_path_begins_anew(incoming: Incoming) -> None:
    incoming.put("a0", "same", of="in")
    assert incoming.run().success
    incoming.put("b0", "same", of="other")
    assert incoming.run("other").success
    assert incoming.partitions() == ["00000-b0", "00001-same"]
    rows = read_rows(incoming.folder / "demo/out/result/00001-same.jsonl")
    assert [row["id"] for row in rows] == ["other-same-0", "other-same-1"]
