import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dataflow_dagster.resources.gpus import Gpus, TooFewGpusError, UnfitGpusError, machine_gpus
from dataflow_dagster_tests.resources.conftest import silent
from dataflow_dagster_tests.toys.models import Shouter
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, with_config
from dataflow_dagster_tests.toys.runs import failure_of, materialize


def test_one_process_gets_both_or_distinct_ones(gpus: Path) -> None:
    with Gpus(2, silent).lease() as both:
        assert both.devices == ["0", "1"]
    with Gpus(1, silent).lease() as one, Gpus(1, silent).lease() as other:
        assert (one.devices, other.devices) == (["0"], ["1"])
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_the_variable_is_put_back(gpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gpus(1, silent).lease():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(KeyError), Gpus(1, silent).lease():
        raise KeyError
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_none_leaves_the_variable_alone_and_0_hides_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with Gpus(None, silent).seen_before(), Gpus(None, silent).lease():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    with Gpus(0, silent).seen_before(), Gpus(0, silent).lease() as held:
        assert ([*held.devices], os.environ["CUDA_VISIBLE_DEVICES"]) == ([], "")


def test_more_than_the_machine_has_is_an_error_and_no_wait(gpus: Path) -> None:
    with (
        pytest.raises(TooFewGpusError, match=r"resources.gpus is 3, .* offers 2 GPUs \(0, 1\)"),
        Gpus(3, silent).lease(),
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
        Gpus(1, silent).check()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"3,{hidden},4")
    assert machine_gpus() == ["3"]


def test_a_device_named_twice_is_an_error_and_no_wait(
    gpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAFLOW_GPUS", "0,0")
    with (
        pytest.raises(UnfitGpusError, match="DATAFLOW_GPUS is '0,0', which names device 0 twice"),
        Gpus(2, silent).seen_before(),
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
        Gpus(1, silent).check()
    assert told in str(raised.value)


@pytest.mark.usefixtures("toys", "gpus")
def test_a_steps_own_variables_do_not_part_it_from_others(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    resources = {"gpus": 1, "env": {"TMPDIR": str(tmp_path / "elsewhere")}}
    step = {**with_config(SHOUT, trace=str(trace)), "resources": resources}
    with Gpus(1, silent).lease() as held:
        assert materialize(pipeline(tmp_path, [step])).success
    assert held.devices == ["0"]
    assert trace.read_text().splitlines() == ["open 1", "close"]


@pytest.mark.usefixtures("toys", "gpus")
@pytest.mark.timeout(60)
def test_a_pipeline_that_is_done_waits_for_no_gpu(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [{**SHOUT, "resources": {"gpus": 1}}])
    assert materialize(of).success
    with Gpus(2, silent).lease():
        assert materialize(of).success


@pytest.mark.usefixtures("toys", "gpus")
def test_no_gpu_is_held_while_a_model_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free: list[Sequence[str]] = []

    def fetch(model: Shouter, say: Callable[[str], None]) -> None:
        del model, say
        with Gpus(2, silent).lease() as held:
            free.append(held.devices)

    monkeypatch.setattr(Shouter, "fetch", fetch)
    assert materialize(pipeline(tmp_path, [{**SHOUT, "resources": {"gpus": 1}}])).success
    assert free == [["0", "1"]]


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
