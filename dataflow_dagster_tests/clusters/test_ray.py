"""A real Ray cluster of local processes: a head and two workers, with its token asked for."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from dataflow_dagster.factory.loading import build_definitions
from dataflow_dagster.factory.partitions import shard_key
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster_tests.clusters.backfills import ask_for, daemon, settings, state
from dataflow_dagster_tests.clusters.cluster import RayCluster, ray_cluster
from dataflow_dagster_tests.processes import wait_for
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import (
    WANDER,
    pipeline,
    read_rows,
    text_rows,
    with_config,
    write_pipeline,
)
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

SHARDS = 3
ROWS = text_rows(SHARDS * 10)
MIDDLE = "5"  # rows 5, 15 and 25
KEYS = [shard_key(part, SHARDS) for part in range(SHARDS)]


@dataclass(frozen=True, slots=True)
class Opened:
    """A line of a `Wanderer`'s trace."""

    devices: str
    node: str
    process: int


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    require("ray.dashboard", "pip install -e '.[ray]'")
    require("dagster_ray", "pip install -e '.[ray]'")
    with ray_cluster(2, 2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def from_the_shell(
    cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """A run of the command line, which goes on beside the other test."""
    folder = tmp_path_factory.mktemp("shell")
    step = with_config({**WANDER, "resources": {"gpus": 0}}, trace=str(folder / "trace"))
    path = write_pipeline(folder, [step], executor="ray", base_folder="base", save_folder="out")
    process = subprocess.Popen(
        [sys.executable, "-m", "dataflow_dagster", "run", "--config", path.name],
        env=settings(cluster, folder),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield folder, process
    process.kill()
    process.communicate()


def opened(trace: Path) -> list[Opened]:
    lines = trace.read_text().splitlines() if trace.exists() else []
    parts = [line.split(" ") for line in lines if line.startswith("open ")]
    return [Opened(part[1], part[3], int(part[5])) for part in parts]


def is_alive(process: int) -> bool:
    """Whether it runs still; one whose new parent does not wait for it stays as a zombie."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def resumed(instance: dg.DagsterInstance) -> bool:
    """Whether Dagster has begun a run's process again."""
    return any(map(instance.count_resume_run_attempts, (run.run_id for run in instance.get_runs())))


def run_of(step: int) -> psutil.Process:
    """The process of the run that a step's process is of."""
    about = json.loads(psutil.Process(step).environ()["RAY_JOB_CONFIG_JSON_ENV_VAR"])
    run = about["metadata"]["dagster/run-id"]
    commands = [
        (process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
    ]
    (found,) = [p for p, said in commands if "execute_run" in said and run in " ".join(said)]
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Rows of each step and of the results, by path."""
    found = [*folder.glob("base/*/*/*.jsonl"), *folder.glob("out/**/*.jsonl")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.full
@pytest.mark.usefixtures("toys", "from_the_shell")
def test_a_node_and_a_run_that_die_in_a_backfill_lose_and_double_nothing(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, go_on = tmp_path / "trace", tmp_path / "go_on"
    waiting = with_config(WANDER, trace=str(trace), waits_for=str(go_on), waits_at=MIDDLE)
    step = {**waiting, "resources": {"gpus": 1}}
    keys: dict[str, Any] = {"rows": ROWS, "shards": SHARDS, "shards_per_run": 1}
    path = write_pipeline(tmp_path, [step], **keys)
    variables = settings(cluster, tmp_path) | {
        "DATAFLOW_EXECUTOR": "ray",
        "DATAFLOW_PIPELINES": str(path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        of = pipeline(tmp_path, [step], **keys)
        assert materialize(of, instance=instance, keys=KEYS, assets=["raw_meta"]).success
        ask_for(instance, build_definitions(path), ["demo", "texts"], KEYS)
        with daemon(tmp_path, variables):
            wait_for(lambda: len(opened(trace)) == SHARDS, 180)
            began = opened(trace)
            assert {one.node for one in began} == {"a", "b"}
            assert len({(one.node, one.devices) for one in began}) == SHARDS
            nodes = [one.node for one in began]
            lost = max(nodes, key=nodes.count)
            cluster.kill(lost)
            killed = [one.process for one in began if one.node == lost]
            (left,) = [one.process for one in began if one.node != lost]
            run_of(left).kill()
            wait_for(lambda: not any(map(is_alive, killed)), 10)
            wait_for(lambda: resumed(instance), 60)
            go_on.touch()
            wait_for(lambda: state(instance).startswith(("COMPLETED", "FAILED")), 150)
        assert state(instance) == "COMPLETED_SUCCESS"
        assert materialize(of, instance=instance, keys=KEYS, assets=["results"]).success
    again = opened(trace)[SHARDS:]
    assert len(again) == len(killed)
    assert {one.node for one in again} == {"a", "b"} - {lost}

    tallies = [Layout(of).shard("texts", key).manifest() for key in KEYS]
    reused = sorted(tally.tally.reused for tally in tallies if tally is not None)
    assert reused == [0] * (SHARDS - len(killed)) + [5] * len(killed)
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert materialize(pipeline(undisturbed, [WANDER], **keys), keys=KEYS).success
    assert files(tmp_path / "demo") == files(undisturbed / "demo")


def test_a_run_of_the_shell_sends_its_steps_to_the_cluster(
    from_the_shell: tuple[Path, "subprocess.Popen[str]"],
) -> None:
    folder, process = from_the_shell
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    (one,) = opened(folder / "trace")
    assert one.node in {"a", "b"}
    assert one.devices == ""  # `gpus: 0` hides them
    texts = [row["text"] for row in read_rows(folder / "out/result.jsonl")]
    assert texts == [f"ROW {number}" for number in range(4)]
    assert not list((folder / "base").glob(".progress*"))
