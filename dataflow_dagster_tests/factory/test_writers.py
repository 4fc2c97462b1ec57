"""Steps with devices, variables and replicas of their own, in real runs."""

from pathlib import Path

import pytest

from dataflow_dagster.engines.session import Engine
from dataflow_dagster.factory.reporting import PROGRESS_FOLDER
from dataflow_dagster.rows import Row
from dataflow_dagster_tests.toys.models import Shouter
from dataflow_dagster_tests.toys.pipelines import (
    SHOUT,
    WANDER,
    pipeline,
    read_rows,
    text_rows,
    with_config,
)
from dataflow_dagster_tests.toys.runs import failure_of, materialize

pytestmark = [pytest.mark.usefixtures("toys"), pytest.mark.timeout(120)]
ENVIRONMENT = {
    "type": "Function",
    "name": "PythonFunction",
    "config": {"function": "os:getenv"},
}


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two devices whose locks no other test sees."""
    monkeypatch.setenv("DATAFLOW_GPUS", "0,1")
    monkeypatch.setenv("DATAFLOW_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def results(folder: Path) -> list[Row]:
    return read_rows(folder / "demo/out/result.jsonl")


def test_variables_are_set_in_the_steps_process_and_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_RUN", "seen")
    step = {**ENVIRONMENT, "resources": {"env": {"OF_STEP": "${OF_THE_RUN} here"}}}
    names = ("OF_STEP", "OF_PIPELINE")
    rows = [{"id": name, "text": name} for name in names]
    of = pipeline(tmp_path, [step], rows=rows, resources={"env": {"OF_PIPELINE": "always"}})
    assert "here" not in repr(of)
    assert materialize(of).success
    assert [row["text"] for row in results(tmp_path)] == ["seen here", "always"]


@pytest.mark.usefixtures("gpus")
def test_replicas_share_the_rows_of_all_shards_each_on_its_own_gpu(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    step = {
        **with_config(SHOUT, trace=str(trace), pause_s=0.02),
        "resources": {"gpus": 2},
        "replicas": "auto",
    }
    of = pipeline(tmp_path, [step], rows=text_rows(40), shards=2)
    assert materialize(of, shards=(0, 1)).success
    assert sorted(trace.read_text().splitlines()) == ["close", "close", "open 0", "open 1"]
    folder = tmp_path / "demo/out/result"
    done = [row["text"] for shard in sorted(folder.glob("*.jsonl")) for row in read_rows(shard)]
    assert done == [row["text"].upper() for row in text_rows(40)]


def test_a_step_that_hangs_is_killed_and_resumed_once(tmp_path: Path) -> None:
    trace, hung = tmp_path / "trace", tmp_path / "hung"
    step = {**with_config(SHOUT, trace=str(trace), hangs_once=str(hung)), "stall_timeout_s": 2}
    result = materialize(pipeline(tmp_path, [step]))
    assert result.success
    assert trace.read_text().splitlines() == ["open None", "open None", "close"]
    again = [event for event in result.all_events if event.is_step_up_for_retry]
    assert [event.step_key for event in again] == ["demo__texts"]
    assert len(results(tmp_path)) == 4


def test_a_row_that_always_hangs_costs_itself_when_its_step_is_resumed(tmp_path: Path) -> None:
    step = {**with_config(WANDER, waits_for="/never", waits_at="2"), "stall_timeout_s": 3}
    assert materialize(pipeline(tmp_path, [step])).success
    assert [row["text"] for row in results(tmp_path)] == ["ROW 0", "ROW 1", "row 2", "ROW 3"]
    (error,) = read_rows(tmp_path / "demo/out/errors.jsonl")
    assert error["kind"] == "engine_died"
    assert "gave no answer for 3 s (stall_timeout_s)" in error["message"]


def test_a_step_whose_engine_dies_says_so(tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": "dies"} for number in range(30)]
    step = {**with_config(SHOUT, dies_at="dies"), "replicas": 2}
    said = failure_of(materialize(pipeline(tmp_path, [step], rows=rows)), "demo__texts")
    assert "of 2 ended with code 9; it and those before it answered no row" in said


def test_replicas_that_would_all_take_the_first_gpu_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shouter, "engine", lambda _: Engine("toy", "1.0", "float32", "cuda"))
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path))
    assert materialize(pipeline(tmp_path, [{**SHOUT, "replicas": 2}])).success
    said = (tmp_path / "texts.said").read_text()
    told = "warning: 2 replicas see every GPU of this machine and all take the first; write"
    assert f"{told} resources: {{gpus: 2}}" in said
