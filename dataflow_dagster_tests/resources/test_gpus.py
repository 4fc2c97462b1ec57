import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dataflow_dagster.resources.gpus import TooFewGpusError, leased_gpus, machine_gpus
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, with_config
from dataflow_dagster_tests.toys.process import environment
from dataflow_dagster_tests.toys.runs import failure_of, materialize

HOLD = """
import os, sys
from dataflow_dagster.resources.gpus import leased_gpus
with leased_gpus(int(sys.argv[1]), lambda line: print(line, flush=True), who="a step") as held:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(held)
    print("holds", *held, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two devices whose locks no other test sees."""
    monkeypatch.setenv("DATAFLOW_GPUS", "0, 1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def _silent(line: str) -> None:
    raise AssertionError(line)


def _holder(folder: Path, wanted: int = 1) -> subprocess.Popen[str]:
    extra = {"DATAFLOW_GPUS": "0,1", "TMPDIR": str(folder)}
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
    with leased_gpus(2, _silent) as both:
        assert both == ["0", "1"]
    with leased_gpus(1, _silent) as one, leased_gpus(1, _silent) as other:
        assert (one, other) == (["0"], ["1"])
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


@pytest.mark.timeout(60)
def test_who_waits_sleeps_and_none_is_overtaken(gpus: Path) -> None:
    with leased_gpus(2, _silent):
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


def _cpu_s(process: subprocess.Popen[str]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def test_the_variable_is_put_back(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with leased_gpus(1, _silent):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(KeyError), leased_gpus(1, _silent):
        raise KeyError
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_none_leaves_the_variable_alone_and_0_hides_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with leased_gpus(None, _silent):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    with leased_gpus(0, _silent) as held:
        assert (held, os.environ["CUDA_VISIBLE_DEVICES"]) == ([], "")


def test_more_than_the_machine_has_is_an_error_and_no_wait(gpus: Path) -> None:
    with (
        pytest.raises(TooFewGpusError, match=r"resources.gpus is 3, .* offers 2 GPUs \(0, 1\)"),
        leased_gpus(3, _silent),
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
