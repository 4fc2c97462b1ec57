import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dataflow_dagster.resources.claims import claims_folder
from dataflow_dagster.resources.gpus import Gpus
from dataflow_dagster_tests.resources.conftest import silent
from dataflow_dagster_tests.toys.process import environment

HOLD = """
import os, sys
from dataflow_dagster.resources.gpus import Gpus
say = lambda line: print(line, flush=True)
with Gpus(int(sys.argv[1]), say, "a step").lease() as held:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(held.devices)
    print("holds", *held.devices, flush=True)
    sys.stdin.read()
"""


def _holder(folder: Path, wanted: int = 1, of: str = "0,1") -> subprocess.Popen[str]:
    extra = {"DATAFLOW_GPUS": of, "DATAFLOW_GPU_LOCKS": str(folder / "locks")}
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(wanted)],
        env=environment(folder, extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.timeout(60)
def test_a_third_process_waits_until_a_holder_is_killed(gpus: Path) -> None:
    first, second = _holder(gpus), _holder(gpus)
    held = {_line(first), _line(second)}
    assert held == {"holds 0", "holds 1"}
    third = _holder(gpus)
    told = _line(third)
    assert told.startswith("waiting for 1 of 2 GPUs; 0: a step (process ")
    first.kill()
    assert _line(third).startswith("got GPU ")
    assert _line(third) in held
    for process in (second, third):
        process.communicate(timeout=10)
        assert process.returncode == 0
    first.communicate(timeout=10)


@pytest.mark.timeout(60)
def test_who_waits_sleeps_and_none_is_overtaken(gpus: Path) -> None:
    with Gpus(2, silent).lease():
        both = _holder(gpus, wanted=2)
        assert _line(both).startswith("waiting for 2 of 2")
        one = _holder(gpus)
        assert _line(one).startswith("waiting for 1 of 2")
        used = _cpu_s(both) + _cpu_s(one)
        time.sleep(1)
        assert _cpu_s(both) + _cpu_s(one) == used
    assert _line(both) == "got GPU 0, 1"
    assert _line(both) == "holds 0 1"
    both.kill()
    assert _line(one) in {"got GPU 0", "got GPU 1"}
    for process in (both, one):
        process.communicate(timeout=10)


@pytest.mark.timeout(90)
def test_five_that_wait_are_served_as_they_came(gpus: Path) -> None:
    waiting: list[subprocess.Popen[str]] = []
    with Gpus(2, silent).lease():
        for _ in range(5):
            waiting.append(_holder(gpus, wanted=2))
            assert _line(waiting[-1]).startswith("waiting for 2 of 2")
    for process in waiting:
        assert _line(process) == "got GPU 0, 1"
        assert _line(process) == "holds 0 1"
        process.kill()
        process.communicate(timeout=10)


@pytest.mark.timeout(60)
def test_a_step_is_woken_though_others_wait_for_some_of_its_devices(gpus: Path) -> None:
    with Gpus(1, silent).lease() as first:
        assert first.devices == ["0"]
        none_left = _holder(gpus, 2, "0,1,2")
        assert _line(none_left) == "holds 1 2"
        any_of_two = _holder(gpus, 1, "1,0")
        assert _line(any_of_two).startswith("waiting for 1 of 2")
        any_of_three = _holder(gpus, 1, "2,1,0")
        assert _line(any_of_three).startswith("waiting for 1 of 3")
    began = time.monotonic()
    assert _line(any_of_two) == "got GPU 0"
    none_left.kill()
    assert _line(any_of_three) == "got GPU 2"
    assert time.monotonic() - began < 10
    for process in (none_left, any_of_two, any_of_three):
        process.communicate(timeout=10)


@pytest.mark.timeout(60)
def test_what_is_free_beside_a_device_taken_goes_to_the_next(gpus: Path) -> None:
    with Gpus(2, silent).lease():
        one, other = _holder(gpus), _holder(gpus)
        assert _line(one).startswith("waiting")
        assert _line(other).startswith("waiting")
    assert {_line(one), _line(other)} == {"got GPU 0", "got GPU 1"}
    for process in (one, other):
        process.communicate(timeout=10)


def _cpu_s(process: subprocess.Popen[str]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def test_two_runs_share_a_machine_whatever_their_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATAFLOW_GPU_LOCKS", raising=False)
    here = claims_folder()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert claims_folder() == here
    assert here.parent in {Path("/run/lock"), Path("/tmp")}
    monkeypatch.setenv("DATAFLOW_GPU_LOCKS", str(tmp_path))
    assert claims_folder() == tmp_path


def test_a_folder_in_use_is_locked_so_that_cleaners_leave_it(gpus: Path) -> None:
    with Gpus(1, silent).lease():
        folder = os.open(gpus / "locks", os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # as systemd-tmpfiles asks
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)


@pytest.mark.timeout(60)
def test_a_door_that_was_cleaned_away_is_made_anew(gpus: Path) -> None:
    with Gpus(2, silent).lease():
        one = _holder(gpus)
        assert _line(one).startswith("waiting")
        (gpus / "locks/door").unlink()
        other = _holder(gpus)
        assert _line(other).startswith("waiting")
    assert {_line(one), _line(other)} == {"got GPU 0", "got GPU 1"}
    assert {_line(one), _line(other)} == {"holds 0", "holds 1"}
    for process in (one, other):
        process.communicate(timeout=10)
    with Gpus(2, silent).lease():
        assert len(list((gpus / "locks").glob("claim-*"))) == 1  # those of the dead are gone
