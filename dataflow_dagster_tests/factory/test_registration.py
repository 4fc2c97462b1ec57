from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, text_rows, write_rows
from dataflow_dagster_tests.toys.runs import failure_of, materialize

pytestmark = pytest.mark.usefixtures("toys")


def test_the_job_makes_partitions_of_new_files(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_rows(tmp_path / "in/b.jsonl", text_rows(1))
    of = pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "in"), files_per_shard=1)
    job = pipeline_definitions(of).resolve_job_def("demo_register")
    assert job.execute_in_process(instance=instance).success
    write_rows(tmp_path / "in/a.jsonl", text_rows(1))
    assert job.execute_in_process(instance=instance).success
    assert instance.get_dynamic_partitions("demo_files") == ["00000-b", "00001-a"]
    assert materialize(of, instance=instance, partition_key="00001-a").success


def test_nothing_at_meta_path_is_told_in_one_line(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "gone"), files_per_shard=1)
    job = pipeline_definitions(of).resolve_job_def("demo_register")
    done = job.execute_in_process(raise_on_error=False)
    assert failure_of(done, "demo_register_files").startswith(f"{tmp_path}/gone: there is no such")


def test_a_partition_made_by_hand_is_told_where_partitions_come_from(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write_rows(tmp_path / "in/b.jsonl", text_rows(1))
    of = pipeline(tmp_path, [SHOUT], meta_path=str(tmp_path / "in"), files_per_shard=1)
    instance.add_dynamic_partitions("demo_files", ["mine"])
    done = materialize(of, instance=instance, partition_key="mine", assets=["raw_meta"])
    assert failure_of(done, "demo__raw_meta").startswith("'mine' is no shard of these files")


def test_only_shards_of_files_have_that_job(tmp_path: Path) -> None:
    jobs = pipeline_definitions(pipeline(tmp_path, [SHOUT], shards=2)).jobs or []
    assert [job.name for job in jobs] == ["demo_pipeline"]
