import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dataflow_dagster.resources.claims import claims_folder
from dataflow_dagster.resources.gpus import Gpus, TooFewGpusError, UnfitGpusError, machine_gpus
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, with_config
from dataflow_dagster_tests.toys.process import environment
from dataflow_dagster_tests.toys.runs import failure_of, materialize

HOLD = """
import os, sys
from dataflow_dagster.resources.gpus import Gpus
say = lambda line: print(line, flush=True)
with Gpus(int(sys.argv[1]), say, "a step").lease() as held:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(held.devices)
    print("holds", *held.devices, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two devices whose locks no other test sees."""
    monkeypatch.setenv("DATAFLOW_GPUS", "0, 1")
    monkeypatch.setenv("DATAFLOW_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def _silent(line: str) -> None:
    raise AssertionError(line)


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


def test_one_process_gets_both_or_distinct_ones(gpus: Path) -> None:
    with Gpus(2, _silent).lease() as both:
        assert both.devices == ["0", "1"]
    with Gpus(1, _silent).lease() as one, Gpus(1, _silent).lease() as other:
        assert (one.devices, other.devices) == (["0"], ["1"])
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


@pytest.mark.timeout(60)
def test_who_waits_sleeps_and_none_is_overtaken(gpus: Path) -> None:
    with Gpus(2, _silent).lease():
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
    with Gpus(2, _silent).lease():
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
    with Gpus(1, _silent).lease() as first:
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
    with Gpus(2, _silent).lease():
        one, other = _holder(gpus), _holder(gpus)
        assert _line(one).startswith("waiting")
        assert _line(other).startswith("waiting")
    assert {_line(one), _line(other)} == {"got GPU 0", "got GPU 1"}
    for process in (one, other):
        process.communicate(timeout=10)


def _cpu_s(process: subprocess.Popen[str]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def test_the_variable_is_put_back(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gpus(1, _silent).lease():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(KeyError), Gpus(1, _silent).lease():
        raise KeyError
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_none_leaves_the_variable_alone_and_0_hides_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with Gpus(None, _silent).seen_before(), Gpus(None, _silent).lease():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    with Gpus(0, _silent).seen_before(), Gpus(0, _silent).lease() as held:
        assert ([*held.devices], os.environ["CUDA_VISIBLE_DEVICES"]) == ([], "")


def test_more_than_the_machine_has_is_an_error_and_no_wait(gpus: Path) -> None:
    with (
        pytest.raises(TooFewGpusError, match=r"resources.gpus is 3, .* offers 2 GPUs \(0, 1\)"),
        Gpus(3, _silent).lease(),
    ):
        pass


def test_devices_are_those_named_for_us_else_those_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-8f")
    monkeypatch.delenv("DATAFLOW_GPUS", raising=False)
    assert machine_gpus() == ["4", "GPU-8f"]
    monkeypatch.setenv("DATAFLOW_GPUS", "1")
    assert machine_gpus() == ["1"]


def test_in_a_job_of_rays_the_devices_are_those_that_ray_chose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setenv("DATAFLOW_GPUS", "0,1,2,3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert machine_gpus() == ["3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")  # a run's own process, for which no GPU was asked
    assert machine_gpus() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("hidden", ["-1", "", "NoDevFiles"])
def test_what_cuda_takes_for_no_device_is_none(
    monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    monkeypatch.delenv("DATAFLOW_GPUS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(TooFewGpusError, match=f"offers no GPU: CUDA_VISIBLE_DEVICES is '{hidden}'"):
        Gpus(1, _silent).check()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"3,{hidden},4")
    assert machine_gpus() == ["3"]


def test_a_device_named_twice_is_an_error_and_no_wait(
    gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAFLOW_GPUS", "0,0")
    with (
        pytest.raises(UnfitGpusError, match="DATAFLOW_GPUS is '0,0', which names device 0 twice"),
        Gpus(2, _silent).seen_before(),
    ):
        pass


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo Unable to determine the device handle: GPU lost >&2; exit 15", "code 15: Unable to"),
        ("true", "offers no GPU: nvidia-smi -L lists none"),
        (None, "offers no GPU: nvidia-smi, which lists them, is not found"),
    ],
)
def test_why_there_is_no_gpu_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, told: str
) -> None:
    for name in ("DATAFLOW_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    if script is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    with pytest.raises(TooFewGpusError) as raised:
        Gpus(1, _silent).check()
    assert told in str(raised.value)


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
    with Gpus(1, _silent).lease():
        folder = os.open(gpus / "locks", os.O_RDONLY)
        with pytest.raises(BlockingIOError):  # as systemd-tmpfiles asks
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(folder)


@pytest.mark.timeout(60)
def test_a_door_that_was_cleaned_away_is_made_anew(gpus: Path) -> None:
    with Gpus(2, _silent).lease():
        one = _holder(gpus)
        assert _line(one).startswith("waiting")
        (gpus / "locks/door").unlink()
        other = _holder(gpus)
        assert _line(other).startswith("waiting")
    assert {_line(one), _line(other)} == {"got GPU 0", "got GPU 1"}
    assert {_line(one), _line(other)} == {"holds 0", "holds 1"}
    for process in (one, other):
        process.communicate(timeout=10)
    with Gpus(2, _silent).lease():
        assert len(list((gpus / "locks").glob("claim-*"))) == 1  # those of the dead are gone


@pytest.mark.usefixtures("toys", "gpus")
def test_a_steps_own_variables_do_not_part_it_from_others(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    resources = {"gpus": 1, "env": {"TMPDIR": str(tmp_path / "elsewhere")}}
    step = {**with_config(SHOUT, trace=str(trace)), "resources": resources}
    with Gpus(1, _silent).lease() as held:
        assert materialize(pipeline(tmp_path, [step])).success
    assert held.devices == ["0"]
    assert trace.read_text().splitlines() == ["open 1", "close"]


@pytest.mark.usefixtures("toys", "gpus")
@pytest.mark.timeout(60)
def test_a_pipeline_that_is_done_waits_for_no_gpu(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [{**SHOUT, "resources": {"gpus": 1}}])
    assert materialize(of).success
    with Gpus(2, _silent).lease():
        assert materialize(of).success


@pytest.mark.usefixtures("toys", "gpus")
def test_a_step_sees_its_device_before_its_model_opens(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    step = {**with_config(SHOUT, trace=str(trace)), "resources": {"gpus": 1}}
    assert materialize(pipeline(tmp_path, [step])).success
    assert trace.read_text().splitlines() == ["open 0", "close"]
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.usefixtures("toys", "gpus")
def test_a_step_that_asks_too_many_says_so(tmp_path: Path) -> None:
    began = time.monotonic()
    result = materialize(pipeline(tmp_path, [{**SHOUT, "resources": {"gpus": 3}}]))
    assert failure_of(result, "demo__texts").startswith("resources.gpus is 3, but this machine")
    assert time.monotonic() - began < 20
