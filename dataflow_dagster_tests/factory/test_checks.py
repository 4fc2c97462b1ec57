from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster_tests.toys.pipelines import PAINT, SHOUT, pipeline, read_rows
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
ROWS = [{"id": str(n), "text": "bad" if n < 2 else "good"} for n in range(4)]


def _evaluation(result: dg.ExecuteInProcessResult, asset: str) -> dg.AssetCheckEvaluation:
    (found,) = (e for e in result.get_asset_check_evaluations() if e.asset_key.path[-1] == asset)
    return found


def test_without_a_limit_failed_rows_warn_and_the_rest_goes_on(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS))
    assert result.success
    check = _evaluation(result, "texts")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == "2 of 4 rows failed here (bad_text: 2)"
    assert _evaluation(result, "generated_images").passed
    assert len(read_rows(tmp_path / "demo/out/result.jsonl")) == 4


def test_above_max_failed_the_check_blocks_what_lies_below(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS, max_failed=0.4))
    assert not result.success
    check = _evaluation(result, "texts")
    assert (check.passed, check.severity, check.blocking) == (
        False,
        dg.AssetCheckSeverity.ERROR,
        True,
    )
    assert "more than max_failed 40.0%" in str(check.description)
    assert not (tmp_path / "demo/base/step_2_Toy_Painter").exists()
    assert not (tmp_path / "demo/out/result.jsonl").exists()


def test_at_max_failed_the_results_are_complete(tmp_path: Path) -> None:
    result = materialize(pipeline(tmp_path, [SHOUT, PAINT], rows=ROWS, max_failed=0.5))
    assert result.success
    assert _evaluation(result, "texts").passed
    assert [row["id"] for row in read_rows(tmp_path / "demo/out/result.jsonl")] == list("0123")
    assert len(read_rows(tmp_path / "demo/out/errors.jsonl")) == 2
