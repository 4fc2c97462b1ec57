"""What many shards cost: loading them, and Dagster's events of one run over them.

``python -m dataflow_dagster_tests.benchmarks.shards [SHARDS]``, else 200 of them. The plain
way is three assets of the same partitions that return at once, as Dagster's tutorial has them. The
events planned for a run are written by whoever begins it, so they depend on its environment:
``DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS=true`` makes one of them for a run's partitions.
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg

from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.factory.partitions import range_tags, shard_key
from dataflow_dagster.io_managers.files import IO_MANAGERS
from dataflow_dagster_tests.toys import registered
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, text_rows, write_pipeline
from dataflow_dagster_tests.toys.process import environment

PLANNED = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"
BATCH = "DAGSTER_EVENT_BATCH_SIZE"
LOAD = """
import time
began = time.monotonic()
import dataflow_dagster.definitions as location
location.defs.get_repository_def()
print(time.monotonic() - began, time.process_time())
"""

Assets = Sequence[dg.AssetsDefinition]


def load_s(folder: Path, shards: int) -> tuple[float, float]:
    """Seconds that a fresh process takes to load one pipeline of so many shards, and its CPU's."""
    path = write_pipeline(folder, [SHOUT], shards=shards)
    extra = {"DATAFLOW_PIPELINES": str(path)}
    told = subprocess.run(
        [sys.executable, "-c", LOAD],
        env=environment(folder, extra),
        capture_output=True,
        text=True,
        check=True,
    )
    took, cpu = told.stdout.splitlines()[-1].split()
    return float(took), float(cpu)


def plain(shards: int) -> Assets:
    """Three assets that do nothing."""
    partitions = dg.StaticPartitionsDefinition([shard_key(n, shards) for n in range(shards)])
    made: list[dg.AssetsDefinition] = []
    for name in ("one", "two", "three"):

        @dg.asset(
            name=name,
            deps=made[-1:],
            partitions_def=partitions,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def nothing() -> None:
            return None

        made.append(nothing)
    return made


def cost(assets: Assets, shards: int, variables: dict[str, str]) -> tuple[float, float]:
    """Seconds, and bytes of the database, per partition and asset of one run over all shards."""
    os.environ.update(variables)
    with (
        tempfile.TemporaryDirectory() as home,
        dg.DagsterInstance.local_temp(
            home, overrides={"telemetry": {"enabled": False}}
        ) as instance,
    ):
        began = time.monotonic()
        result = dg.materialize(
            assets,
            instance=instance,
            resources=IO_MANAGERS,
            tags=range_tags([shard_key(0, shards), shard_key(shards - 1, shards)]),
        )
        took = time.monotonic() - began
        size = sum(file.stat().st_size for file in Path(home).rglob("*") if file.is_file())
    for name in variables:
        del os.environ[name]
    if not result.success:
        raise RuntimeError("the run failed")
    return took / shards / len(assets), size / shards / len(assets)


def main() -> None:
    """Print one line a way."""
    logging.disable(logging.CRITICAL)
    shards = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    with tempfile.TemporaryDirectory() as folder:
        took, cpu = min(load_s(Path(folder), 1000) for _ in range(3))
        sys.stdout.write(f"1000 shards load in {took:.2f} s in a fresh process, {cpu:.2f} of CPU\n")
        of = pipeline(Path(folder), [SHOUT], shards=shards, rows=text_rows(shards))
        ways: dict[str, tuple[Callable[[], Assets], dict[str, str]]] = {
            "plain Dagster": (lambda: plain(shards), {}),
            "plain, both variables": (lambda: plain(shards), {PLANNED: "true", BATCH: "100"}),
            "ours": (lambda: PipelineAssets(of).build(), {}),
            "ours, one planned event": (lambda: PipelineAssets(of).build(), {PLANNED: "true"}),
        }
        for name, (assets, variables) in ways.items():
            took, size = cost(assets(), shards, variables)
            sys.stdout.write(f"{name:<24} {took * 1000:7.1f} ms {size / 1000:7.1f} kB\n")


if __name__ == "__main__":
    _ = registered
    main()
