import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest

from dataflow_dagster.factory.reporting import PROGRESS_FOLDER, StepReport, duration
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, read_rows, with_config
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
ROWS = [{"id": "1", "text": "bad"}, {"id": "2", "text": "good"}]


def test_who_watches_finds_each_steps_last_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "watched").mkdir()
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path / "watched"))
    assert materialize(pipeline(tmp_path, [with_config(SHOUT, repeat_time=3)], rows=ROWS)).success
    states = {path.stem: read_rows(path)[0] for path in (tmp_path / "watched").glob("*.json")}
    assert states == {
        "raw_meta": {"rows": 2, "failed": 0, "total": 2, "done": True},
        "texts": {"rows": 6, "failed": 3, "total": 6, "done": True},
        "results": {"rows": 6, "failed": 3, "total": 6, "done": True},
    }
    said = {path.name: path.read_text() for path in (tmp_path / "watched").glob("*.said")}
    assert said == {"texts.said": "Shouter runs on toy 1.0, float32, cpu\n"}


def test_the_runs_log_says_which_engine_answers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    quiet = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "INFO"}}
    with dg.DagsterInstance.local_temp(str(home), overrides=quiet) as instance:
        result = materialize(pipeline(tmp_path, [SHOUT]), instance=instance)
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "texts: Shouter runs on toy 1.0, float32, cpu" in lines


class _Clock:
    """Time as a test has it, and the lines of a log."""

    asset_key = dg.AssetKey("texts")
    run = SimpleNamespace(run_id="0123456789")

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.log = self

    def __call__(self) -> float:
        return self.now

    def info(self, line: str) -> None:
        self.lines.append(line)


def _report(clock: _Clock, seconds: int, rows: int) -> StepReport:
    """A step of `rows` rows a second, as its log has it after so many seconds."""
    report = StepReport(cast("dg.AssetExecutionContext", clock), "texts", clock)
    report.expect(rows * seconds * 2)
    for _ in range(seconds):
        clock.now += 1
        report.advance(rows, 1)
    return report


def test_a_line_says_how_far_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRESS_FOLDER, raising=False)
    clock = _Clock()
    _report(clock, 30, 1000)
    assert clock.lines == [
        "texts: 12,000 of 60,000 rows (20%), 12 failed, 1,000.0 rows/s, 48 s left",
        "texts: 23,000 of 60,000 rows (38%), 23 failed, 1,000.0 rows/s, 37 s left",
    ]


def test_a_night_has_some_hundred_lines_and_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PROGRESS_FOLDER, raising=False)
    clock = _Clock()
    _report(clock, 10 * 3600, 2).end()
    assert 550 < len(clock.lines) < 620
    assert clock.lines[-1] == "texts: 72,000 rows, 36,000 failed, in 10 h 0 min"


def _silence(report: StepReport, clock: _Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.now += 1
        report.look()


def test_an_engine_that_answers_nothing_is_told_of_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(PROGRESS_FOLDER, raising=False)
    clock = _Clock()
    report = _report(clock, 0, 0)
    report.expect(1000)
    _silence(report, clock, 130)
    assert clock.lines == [
        "texts: 0 of 1,000 rows (0%), none since the step began, for 1 min 0 s",
        "texts: 0 of 1,000 rows (0%), none since the step began, for 2 min 0 s",
    ]
    report.advance(250, 0)
    clock.lines.clear()
    _silence(report, clock, 12 * 3600)
    assert clock.lines[0] == "texts: 250 of 1,000 rows (25%), none for 1 min 0 s"
    assert 70 < len(clock.lines) < 80


def test_a_step_that_waits_for_its_engine_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflow_dagster.factory.reporting.SILENT_S", 0.12)
    home = tmp_path / "home"
    home.mkdir()
    quiet = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "INFO"}}
    of = pipeline(tmp_path, [with_config(SHOUT, pause_s=0.6)], rows=ROWS)
    with dg.DagsterInstance.local_temp(str(home), overrides=quiet) as instance:
        result = materialize(of, instance=instance)
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    told = "texts: 0 of 2 rows (0%), none since the step began, for "
    assert [line for line in lines if line.startswith(told)]
    names = {thread.name for thread in threading.enumerate()}
    assert "silence of texts" not in names


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.34, "0.3 s"),
        (45.2, "45 s"),
        (410, "6 min 50 s"),
        (7500, "2 h 5 min"),
        (60, "1 min 0 s"),
    ],
)
def test_a_duration_is_said_as_a_person_says_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said
