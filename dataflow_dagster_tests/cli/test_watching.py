import os
import time
from pathlib import Path

import pytest

from dataflow_dagster.cli.watching import told_folder, watched
from dataflow_dagster.factory.reporting import PROGRESS_FOLDER
from dataflow_dagster.rows import encode
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline

pytestmark = pytest.mark.usefixtures("toys")


def _tell(asset: str, rows: int, total: int | None = None) -> None:
    state = {"rows": rows, "failed": rows // 2, "total": total, "done": total is None}
    (Path(os.environ[PROGRESS_FOLDER]) / f"{asset}.json").write_bytes(encode(state))


def test_bars_count_towards_the_rows_that_each_step_expects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = pipeline(tmp_path, [SHOUT])
    with told_folder(of) as folder, watched(of, folder):
        _tell("raw_meta", 4)
        _tell("texts", 3, total=12)
        time.sleep(0.5)
        _tell("texts", 6, total=12)
        time.sleep(0.5)
        (Path(os.environ[PROGRESS_FOLDER]) / "results.json").write_text("{half")
    out, err = capsys.readouterr()
    assert out == ""
    raw_meta, texts = err.splitlines()
    assert "4/4" in raw_meta
    assert "6/12" in texts
    assert "3 failed" in texts
    assert "rows/s" in texts
    assert " left" in texts
    assert PROGRESS_FOLDER not in os.environ


def test_bars_end_with_a_run_that_raises(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    with pytest.raises(KeyError), told_folder(of) as folder, watched(of, folder):
        raise KeyError
    assert PROGRESS_FOLDER not in os.environ
