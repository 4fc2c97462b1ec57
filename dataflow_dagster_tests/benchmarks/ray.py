"""``python -m dataflow_dagster_tests.benchmarks.ray``: how two worker nodes of Ray scale over one.

The engine sleeps half a second a row, as one that waits for a device or a server does. Each node
has one GPU, each shard is a run of its own, and its step holds one GPU. Both are timed on clusters
of processes of this machine, from the first model opened to the last one closed, as Dagster's
daemon runs a backfill of all shards. Aim: at least 1.8.
"""

import logging
import os
import re
import tempfile
from pathlib import Path

import dagster as dg

from dataflow_dagster.factory.loading import build_definitions
from dataflow_dagster.factory.partitions import shard_key
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.clusters.backfills import ask_for, daemon, settings, state
from dataflow_dagster_tests.clusters.cluster import RayCluster, ray_cluster
from dataflow_dagster_tests.processes import wait_for
from dataflow_dagster_tests.toys import registered  # noqa: F401  # the toys are models now
from dataflow_dagster_tests.toys.pipelines import WANDER, text_rows, with_config, write_pipeline
from dataflow_dagster_tests.toys.runs import materialize

PAUSE_S = 0.5
SHARDS = 6
ROWS_EACH = 40
AIM = 1.8
KEYS = [shard_key(part, SHARDS) for part in range(SHARDS)]


def seconds(cluster: RayCluster, folder: Path) -> float:
    """From the first model opened to the last one closed."""
    trace = folder / "trace"
    step = with_config({**WANDER, "resources": {"gpus": 1}}, pause_s=PAUSE_S, trace=str(trace))
    rows = text_rows(SHARDS * ROWS_EACH)
    path = write_pipeline(folder, [step], rows=rows, shards=SHARDS, shards_per_run=1)
    placed = {"DATAFLOW_EXECUTOR": "ray", "DATAFLOW_PIPELINES": str(path)}
    os.environ.update(settings(cluster, folder) | placed)
    logging.disable(logging.CRITICAL)  # the figures alone
    with dg.DagsterInstance.get() as instance:
        materialize(load_pipeline(path), instance=instance, keys=KEYS, assets=["raw_meta"])
        ask_for(instance, build_definitions(path), ["demo", "texts"], KEYS)
        with daemon(folder, os.environ):
            wait_for(lambda: state(instance).startswith(("COMPLETED", "FAILED")), 600)
        if state(instance) != "COMPLETED_SUCCESS":
            raise SystemExit(f"the backfill ended as {state(instance)}; see {folder}/daemon.log")
    times = [float(at) for at in re.findall(r" at ([0-9.]+)$", trace.read_text(), re.MULTILINE)]
    return max(times) - min(times)


def main() -> None:
    """Print the seconds of one node and of two, and their ratio."""
    took: list[float] = []
    for nodes in (1, 2):
        with tempfile.TemporaryDirectory() as folder, ray_cluster(*[1] * nodes) as cluster:
            took.append(seconds(cluster, Path(folder)))
        print(f"{nodes} nodes  {SHARDS} shards in {took[-1]:6.1f} s")  # noqa: T201  # its result
    print(f"2 nodes against 1: {took[0] / took[1]:.2f} (aim: {AIM})")  # noqa: T201  # its result


if __name__ == "__main__":
    main()
