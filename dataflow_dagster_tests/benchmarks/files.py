"""``python -m dataflow_dagster_tests.benchmarks.files [FILES]``: what a folder of many files costs.

10,000 files (or so many as are asked for) of 20 rows, each a shard: registering them, the first
index of all, the same again, and looks of the sensor of ``watch``: one that sees all files new, one
that begins runs, one while they are at work. Beside them a bare loop that reads the same rows by
orjson. Aims: the first index in less than 15 s, each look in less than 30 s (Dagster gives it 60).
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import orjson
import yaml

from dataflow_dagster import registry
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.file_input import file_keys, file_shards, register_files
from dataflow_dagster_tests.benchmarks.ledger import Echo

FILES = 10_000
ROWS = 20
AIM_S = 15
LOOK_AIM_S = 30


def write_files(folder: Path, files: int) -> None:
    """Rows with ids of their own."""
    folder.mkdir()
    for file in range(files):
        rows = ({"id": f"{file}-{row}", "text": "what rows have to say"} for row in range(ROWS))
        path = folder / f"part-{file:06}.jsonl"
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def bare(folder: Path) -> None:
    """What reading the rows costs at the least."""
    for path in sorted(folder.iterdir()):
        for line in path.read_bytes().splitlines():
            orjson.loads(line)


def index(pipeline: PipelineSpec) -> None:
    """Of all shards, as a run over all of them asks for it."""
    keys = file_keys(pipeline)
    with file_shards(pipeline) as shards:
        shards.read(keys)
        for key in keys:
            shards.index(key)


class Looks:
    """The sensor, looked through as the daemon does."""

    def __init__(self, pipeline: PipelineSpec, instance: dg.DagsterInstance) -> None:
        self._repository = pipeline_definitions(pipeline).get_repository_def()
        self._instance = instance
        self._cursor: str | None = None

    def look(self) -> None:
        context = dg.build_sensor_context(
            self._instance, cursor=self._cursor, repository_def=self._repository
        )
        told = self._repository.get_sensor_def("bench_watch").evaluate_tick(context)
        self._cursor = told.cursor


def tell(what: str, work: Callable[[], object]) -> None:
    """Do it, and print what it took."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    sys.stdout.write(f"{what:<18}{took:7.2f} s by the clock {spent:7.2f} s of CPU\n")
    sys.stdout.flush()


def main() -> None:
    """Print a line for each."""
    registry.register("Bench")(Echo)
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        write_files(folder / "in", files)
        said = {
            "name": "bench",
            "meta_path": str(folder / "in"),
            "base_folder": str(folder / "base"),
            "save_folder": str(folder / "out"),
            "files_per_shard": 1,
            "watch": 60,
            "steps": [{"type": "Bench", "name": "Echo"}],
        }
        pipeline = parse_pipeline(yaml.safe_dump(said), folder / "bench.yaml")
        tell("bare orjson loop", lambda: bare(folder / "in"))
        tell("register", lambda: register_files(pipeline))
        tell("first index", lambda: index(pipeline))
        tell("index again", lambda: index(pipeline))
        (folder / "home").mkdir()
        with dg.DagsterInstance.local_temp(str(folder / "home")) as instance:
            looks = Looks(pipeline, instance)
            for said in ("first look", "look that begins", "look at work"):
                tell(said, looks.look)
        sys.stdout.write(f"aims, of {FILES:,} files: the first index in less than {AIM_S} s,\n")
        sys.stdout.write(f"each look in less than {LOOK_AIM_S} s\n")


if __name__ == "__main__":
    main()
