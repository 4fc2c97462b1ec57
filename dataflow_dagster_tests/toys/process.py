"""Processes that know the toys, as they would know a user's own package of models."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which the toys are an installed package's entry point."""
    installed = folder / "site" / "toys-1.0.dist-info"
    installed.mkdir(parents=True, exist_ok=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    module = "dataflow_dagster_tests.toys.registered"
    (installed / "entry_points.txt").write_text(f"[dataflow_dagster.models]\ntoys = {module}\n")
    paths = [str(installed.parent), str(ROOT)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER", "DATAFLOW"))}
    own = {"PYTHONPATH": os.pathsep.join(paths), "DATAFLOW_GPU_LOCKS": str(folder / "gpu_locks")}
    return {**kept, **own, "COLUMNS": "80", **(extra or {})}


def run_python(
    folder: Path, *arguments: str, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` until it ends."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(folder, extra),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
