"""A Ray cluster for tests and benchmarks, and what runs on it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from dataflow_dagster_tests.clusters.nodes import secured
from dataflow_dagster_tests.toys.process import environment


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A head and workers.

    Attributes:
        address: Where jobs are submitted.
        raylets: Worker's name → its first process.
        environment: That of all that talks with it, the toys among its models.
    """

    address: str
    raylets: Mapping[str, int]
    environment: Mapping[str, str]

    def kill(self, node: str) -> None:
        """``kill -9`` a node's raylet and Ray's workers, as a machine's loss would end them."""
        raylet = psutil.Process(self.raylets[node])
        for process in [raylet, *raylet.children()]:
            os.kill(process.pid, signal.SIGKILL)


@contextmanager
def ray_cluster(*gpus: int) -> Generator[RayCluster]:
    """A cluster with a worker for each number of GPUs."""
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp"
    ) as short:  # sockets' paths have 107 bytes
        folder = Path(short)
        variables = environment(folder, secured(folder))
        nodes = subprocess.Popen(
            [sys.executable, "-m", "dataflow_dagster_tests.clusters.nodes", *map(str, gpus)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert nodes.stdout is not None
        try:
            told = json.loads(nodes.stdout.readline())
            yield RayCluster(told["address"], told["raylets"], variables)
        finally:
            nodes.communicate(timeout=60)
