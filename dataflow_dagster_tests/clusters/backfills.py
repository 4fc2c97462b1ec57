"""A Dagster of its own, whose runs are on a Ray cluster."""

import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import yaml

from dataflow_dagster_tests.clusters.cluster import RayCluster
from dataflow_dagster_tests.docs.reading import DOCS, block_titled

BACKFILL: Final = "everything"
DAEMON: Final = """
import dagster._daemon.controller as controller
from dagster._daemon.cli import cli
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2  # instead of 30
cli()
"""


def settings(cluster: RayCluster, folder: Path) -> dict[str, str]:
    """The environment of a Dagster with the page's ``dagster.yaml``, its events in SQLite."""
    written: dict[str, Any] = yaml.safe_load(block_titled(DOCS / "ray.md", "dagster.yaml: Ray"))
    del written["storage"]
    written["run_monitoring"]["poll_interval_seconds"] = 2
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(written))
    return {**cluster.environment, "DAGSTER_HOME": str(home), "RAY_ADDRESS": cluster.address}


@contextmanager
def daemon(folder: Path, variables: Mapping[str, str]) -> Generator[None]:
    """Dagster's daemon, which launches runs on the cluster."""
    with (folder / "daemon.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, "run", "-m", "dataflow_dagster.definitions"],
            env=variables,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def ask_for(
    instance: dg.DagsterInstance, defs: dg.Definitions, asset: Sequence[str], keys: Sequence[str]
) -> None:
    """Begin a backfill of an asset's partitions, as the UI does."""
    from dagster._core.execution.backfill import PartitionBackfill

    asked = PartitionBackfill.from_asset_partitions(
        backfill_id=BACKFILL,
        asset_graph=defs.resolve_asset_graph(),
        partition_names=keys,
        asset_selection=[dg.AssetKey(asset)],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(asked)


def state(instance: dg.DagsterInstance) -> str:
    found = instance.get_backfill(BACKFILL)
    return "" if found is None else found.status.value
