import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataflow_dagster.cli.main import main
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, text_rows, write_pipeline
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")

LOST = "\N{REPLACEMENT CHARACTER}"


def _errors(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["errors", "-c", str(folder / "demo.yaml"), *arguments])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Five good rows, a bad one with control characters in it, one with a number for a text."""
    rows = [*text_rows(5), {"id": "b", "text": "bad \x1b[2J\nx"}, {"id": "n", "text": 7}]
    assert materialize(pipeline(tmp_path, [SHOUT], rows=rows)).success
    return tmp_path


def test_kinds_are_counted_and_rows_are_shown_on_one_line_each(run: Path) -> None:
    shown = _errors(run)
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "2 of 7 rows failed",
        "",
        "step      kind       rows",
        "texts     bad_text   1",
        "raw_meta  bad_value  1",
        "",
        "id  step      kind       message",
        f"b   texts     bad_text   bad {LOST}[2J{LOST}x is bad",
        "n   raw_meta  bad_value  column 'text' is 7 (int), not a text",
    ]
    assert shown.stderr == "looked at results of 1 shard\n"


def test_one_kind_or_one_step_is_shown_alone(run: Path) -> None:
    for option in (("--kind", "bad_text"), ("--step", "texts")):
        shown = _errors(run, *option).stdout
        assert shown.startswith("1 of 7 rows failed")
        assert "bad_value" not in shown
    assert _errors(run, "--kind", "gone").stdout == "no such row among 7 rows\n"


def test_a_limit_says_how_many_more_there_are(run: Path) -> None:
    shown = _errors(run, "--limit", "1").stdout
    assert shown.endswith("... and 1 more (--limit, --kind, --step, --json)\n")
    assert "bad_value  1" in shown


def test_json_is_one_object_a_row(run: Path) -> None:
    found = [json.loads(line) for line in _errors(run, "--json").stdout.splitlines()]
    assert [(one["id"], one["kind"], one["row"]["text"]) for one in found] == [
        ("b", "bad_text", "bad \x1b[2J\nx"),
        ("n", "bad_value", 7),
    ]
    assert len(_errors(run, "--json", "--limit", "1").stdout.splitlines()) == 1


def test_a_run_that_is_not_done_says_how_far_it_came(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=[*text_rows(3), {"text": "bad"}], shards=2)
    assert materialize(of, partition_key="00001-of-00002", assets=["raw_meta", "texts"]).success
    shown = _errors(tmp_path)
    assert shown.stdout.startswith("1 of 2 rows failed")
    assert shown.stderr == "looked at 2 shards, not all finished: 1 at texts, 1 not begun\n"


def test_a_pipeline_that_never_ran_says_so(tmp_path: Path) -> None:
    write_pipeline(tmp_path, [SHOUT])
    shown = _errors(tmp_path)
    assert (shown.stdout, shown.stderr) == ("", "demo was not run yet\n")


def test_a_damaged_list_is_a_clear_error(run: Path) -> None:
    (run / "demo/out/errors.jsonl").write_text("{")
    shown = _errors(run)
    assert shown.exit_code == 1
    assert "errors.jsonl is damaged" in shown.stderr
