"""Real processes, killed as the kernel kills: nothing of them may be left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dataflow_dagster.resources.gpus import Gpus
from dataflow_dagster_tests.engines.guarded_replicas import REPLICAS
from dataflow_dagster_tests.toys.process import environment

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="process groups are read from /proc"),
    pytest.mark.timeout(120),
]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `guarded`, told how its step goes on."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(how: str, program: str = "guarded") -> subprocess.Popen[bytes]:
        extra = {"DATAFLOW_GPUS": "0,1" if program == "guarded_replicas" else "0"}
        module = f"dataflow_dagster_tests.engines.{program}"
        command = [sys.executable, "-m", module, str(tmp_path / "trace"), how]
        begun.append(subprocess.Popen(command, env=environment(tmp_path, extra)))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return met


def alive(*processes: int) -> list[int]:
    """Those that run, or that are not yet over."""
    known = {process.pid: process for process in psutil.process_iter(["status"])}
    return [p for p in processes if p in known and known[p].info["status"] != "zombie"]


def lines(folder: Path, count: int, seconds: float = 30) -> list[str]:
    trace = folder / "trace"
    within(seconds, lambda: trace.exists() and len(trace.read_text().splitlines()) >= count)
    return trace.read_text().splitlines()


def processes(line: str) -> tuple[int, int, int]:
    step, child, forked = map(int, line.split())
    return step, child, forked


def test_a_process_killed_takes_its_children_along_and_frees_its_gpu(
    start: Start, tmp_path: Path
) -> None:
    start("stays")
    first = processes(lines(tmp_path, 1)[0])
    assert alive(*first) == list(first)
    start("stays")
    os.kill(first[0], signal.SIGKILL)
    assert within(10, lambda: not alive(*first))
    second = processes(lines(tmp_path, 2)[1])
    assert alive(*second) == list(second)


def test_a_parent_killed_takes_all_of_it_along(start: Start, tmp_path: Path) -> None:
    parent = start("stays")
    all_of_it = processes(lines(tmp_path, 1)[0])
    parent.kill()
    assert within(10, lambda: not alive(*all_of_it))


def test_a_step_begun_by_a_command_ends_with_the_shell_that_ray_begins_it_by(
    tmp_path: Path,
) -> None:
    extra = {"DATAFLOW_GPUS": "0", "DAGSTER_RUN_STEP_KEY": "a_step"}
    command = (
        f"{sys.executable} -m dataflow_dagster_tests.engines.guarded {tmp_path}/trace stays; :"
    )
    with subprocess.Popen(["sh", "-c", command], env=environment(tmp_path, extra)) as shell:
        all_of_it = processes(lines(tmp_path, 1)[0])
        assert shell.pid not in all_of_it
        shell.kill()
    assert within(10, lambda: not alive(*all_of_it))


def test_what_was_forgotten_is_ended_and_the_process_goes_on(start: Start, tmp_path: Path) -> None:
    start("ends")
    told = lines(tmp_path, 2)
    assert told[1] == "ended"
    step, *children = processes(told[0])
    assert alive(step, *children) == [step]


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["step", "run"])
def test_gpus_are_free_only_when_the_last_process_of_the_last_replica_has_gone(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    monkeypatch.setenv("DATAFLOW_GPUS", "0,1")
    monkeypatch.setenv("DATAFLOW_GPU_LOCKS", str(tmp_path / "gpu_locks"))
    run = start("stays", "guarded_replicas")
    step, *replicas = lines(tmp_path, 1 + REPLICAS)
    all_of_it = [int(step), *(int(number) for line in replicas for number in line.split())]
    assert alive(*all_of_it) == all_of_it
    os.kill(int(step) if killed == "step" else run.pid, signal.SIGKILL)
    with Gpus(1, print).lease():
        assert not alive(*all_of_it)


@pytest.mark.full
@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.slow
@pytest.mark.usefixtures("needs_vllm")
def test_no_process_of_vllm_outlives_its_step_and_no_step_its_run(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    run = start("stays", "guarded_vllm")
    (line,) = lines(tmp_path, 1, seconds=420)
    step, *its = map(int, line.split())
    cores = [p for p in its if "EngineCore" in " ".join(psutil.Process(p).cmdline())]
    assert cores
    assert alive(step, *its) == [step, *its]
    run.kill()  # the step dies of it, the engine of the step's death
    assert within(10, lambda: not alive(step, *its))
