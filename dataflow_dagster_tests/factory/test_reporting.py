from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.reporting import PROGRESS_FOLDER
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, read_rows
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
ROWS = [{"id": "1", "text": "bad"}, {"id": "2", "text": "good"}]


def test_who_watches_finds_each_steps_last_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "watched").mkdir()
    monkeypatch.setenv(PROGRESS_FOLDER, str(tmp_path / "watched"))
    assert materialize(pipeline(tmp_path, [SHOUT], rows=ROWS)).success
    states = {path.stem: read_rows(path)[0] for path in (tmp_path / "watched").iterdir()}
    assert states == {
        "raw_meta": {"rows": 2, "failed": 0, "done": True},
        "texts": {"rows": 2, "failed": 1, "done": True},
        "results": {"rows": 2, "failed": 1, "done": True},
    }


def test_the_runs_log_says_which_engine_answers(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    quiet = {"telemetry": {"enabled": False}, "python_logs": {"python_log_level": "INFO"}}
    with dg.DagsterInstance.local_temp(str(home), overrides=quiet) as instance:
        result = materialize(pipeline(tmp_path, [SHOUT]), instance=instance)
        lines = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "texts: Shouter runs on toy 1.0, float32, cpu" in lines
