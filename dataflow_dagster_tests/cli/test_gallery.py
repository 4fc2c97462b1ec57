import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataflow_dagster.cli.main import main
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")


def test_the_page_is_written_where_it_is_missing_and_told(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    assert materialize(of).success
    page = tmp_path / "demo/out/gallery.html"
    page.unlink()
    told = CliRunner().invoke(main, ["gallery", "--config", str(of.path), "--no-open"])
    assert (told.exit_code, told.output.strip()) == (0, str(page))
    assert page.exists()


def test_it_is_opened_in_the_users_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = pipeline(tmp_path, [SHOUT])
    assert materialize(of).success
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!{sys.executable}\nimport sys\nopen("{opened}", "w").write(sys.argv[1])\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    monkeypatch.setattr("webbrowser._tryorder", None)
    assert CliRunner().invoke(main, ["gallery", "--config", str(of.path)]).exit_code == 0
    assert opened.read_text() == (tmp_path / "demo/out/gallery.html").as_uri()


def test_a_pipeline_that_never_ran_is_told_so(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    told = CliRunner().invoke(main, ["gallery", "--config", str(of.path), "--no-open"])
    assert told.exit_code == 1
    assert "holds no results yet: run it first" in told.output


def test_the_page_is_that_of_the_yaml_as_it_is_now(tmp_path: Path) -> None:
    def told(**keys: int) -> str:
        of = pipeline(tmp_path, [SHOUT], **keys)
        assert materialize(of, shards=(0, 1) if keys else None).success
        done = CliRunner().invoke(main, ["gallery", "--config", str(of.path), "--no-open"])
        assert done.exit_code == 0, done.output
        return (tmp_path / "demo/out/gallery.html").read_text()

    assert "2 shards, 4 rows" in told(shards=2)
    assert "shards, " not in told()
    assert "2 shards, 4 rows" in told(shards=2)


def test_a_split_that_never_ran_is_told_so_although_another_did(tmp_path: Path) -> None:
    assert materialize(pipeline(tmp_path, [SHOUT], shards=2), shards=(0, 1)).success
    for keys in ({"shards": 3}, {}):
        of = pipeline(tmp_path, [SHOUT], **keys)
        told = CliRunner().invoke(main, ["gallery", "--config", str(of.path), "--no-open"])
        assert (told.exit_code, "holds no results yet" in told.output) == (1, True)
