"""``python -m dataflow_dagster_tests.clusters.nodes GPUS…``: a Ray cluster on this machine.

A head and a worker node for each number of GPUs, which are declared, not real. Each worker has a
folder of temporary files and of claims on devices of its own: what one node has is none of
another's.
Token authentication is on. One line of JSON on standard output says where it is; it ends with its
standard input.
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

QUICKLY = {"health_check_period_ms": 500, "health_check_failure_threshold": 3}
"""A dead node is noticed in some two seconds instead of some fifteen."""


def main(folder: Path, *gpus: int) -> None:
    """Start the nodes, tell of them, and stay."""
    from ray.cluster_utils import Cluster  # reads the environment, which is ours by now

    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_port": 0}
    cluster = Cluster(True, head_node_args={**head, "_system_config": QUICKLY})
    raylets = {
        name: _worker(cluster, folder / name, count)
        for name, count in zip("abcdefgh", gpus, strict=False)
    }
    told = {"address": f"http://{cluster.webui_url}", "raylets": raylets}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


def _worker(cluster: Any, folder: Path, gpus: int) -> int:
    """The process id of the new node's raylet."""
    folder.mkdir()
    own = {"TMPDIR": str(folder), "DATAFLOW_GPU_LOCKS": str(folder / "locks")}
    node = cluster.add_node(num_cpus=8, num_gpus=gpus, env_vars=own)
    (raylet,) = node.all_processes["raylet"]
    return raylet.process.pid


def secured(folder: Path) -> dict[str, str]:
    """The environment of all that talks with a cluster in `folder`; makes its token."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


if __name__ == "__main__":
    main(Path(os.environ["RAY_TMPDIR"]), *map(int, sys.argv[1:]))
