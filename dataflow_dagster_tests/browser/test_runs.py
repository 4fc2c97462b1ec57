"""Pipelines that anyone can write in a real browser: forced, scheduled, failing, broken."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster_tests.browser.conftest import GROUPS, Make, Shoot, Site
from dataflow_dagster_tests.conftest import register_toys
from dataflow_dagster_tests.processes import wait_for
from dataflow_dagster_tests.toys.pipelines import (
    SHOUT,
    read_rows,
    text_rows,
    write_pipeline,
    write_rows,
)
from dataflow_dagster_tests.toys.runs import materialize

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

FILES = ["00000-a", "00001-b"]
SCHEDULE = "/locations/dataflow_dagster.definitions/schedules/files_schedule"
NUMBERS = """{ assetNodeOrError(assetKey: {path: ["plain", "texts"]}) { ... on AssetNode {
    assetMaterializations(limit: 1) {
        metadataEntries { label ... on IntMetadataEntry { intValue } }
    }
} } }"""


@pytest.fixture(scope="module")
def made() -> Make:
    """One that is done, one by the clock, one whose input is gone, and one that is broken."""
    return lambda folder: [
        _done(folder),
        _by_the_clock(folder),
        write_pipeline(folder, [SHOUT], name="gone", meta_path=str(folder / "gone.jsonl")),
        write_pipeline(folder, [SHOUT], name="wrong", stepz=1),
    ]


def _done(folder: Path) -> Path:
    """Ten rows that have their answers."""
    path = write_pipeline(folder, [SHOUT], name="plain", rows=text_rows(10))
    with pytest.MonkeyPatch.context() as patches:
        register_toys(patches)
        assert materialize(load_pipeline(path)).success
    return path


def _by_the_clock(folder: Path) -> Path:
    """Two files, of which one has a bad row."""
    for name, text in (("a", "good"), ("b", "bad")):
        write_rows(folder / f"files/in/{name}.jsonl", [{"id": name, "text": text}])
    return write_pipeline(
        folder,
        [SHOUT],
        name="files",
        meta_path=str(folder / "files/in"),
        files_per_shard=1,
        schedule="* * * * *",
    )


@pytest.fixture(scope="module")
def opened(site: Site, page: "Page") -> Site:
    """The tab has nothing before the pages any more."""
    page.goto(GROUPS + "/plain")
    page.get_by_role("button", name="Skip").click()  # "Join the Dagster community"
    return site


def numbers(site: Site) -> dict[str, Any]:
    """Those of the newest materialization of the step's asset."""
    (newest,) = site.ask(NUMBERS)["assetNodeOrError"]["assetMaterializations"]
    return {entry["label"]: entry.get("intValue") for entry in newest["metadataEntries"]}


def test_the_launchpad_forces_rows_to_be_computed_again(
    opened: Site, page: "Page", shoot: Shoot
) -> None:
    page.goto("/assets/plain/texts")
    page.get_by_role("button", name="arrow_drop_down", exact=True).first.click()
    page.get_by_text("Open launchpad").click()
    page.get_by_role("button", name="Confirm").click()  # of `raw_meta` it has no events
    launchpad = page.get_by_role("dialog")
    launchpad.get_by_text("recompute:").wait_for()
    launchpad.get_by_text("false", exact=True).first.dblclick()
    page.keyboard.insert_text("true")
    shoot(page, "launchpad")
    launchpad.get_by_role("button", name="Materialize").click()
    assert opened.ended_run(page, "plain", 1)["status"] == "SUCCESS"
    assert (numbers(opened)["computed"], numbers(opened)["reused"]) == (10, 0)


@pytest.mark.usefixtures("opened")
def test_a_run_that_fails_says_why_in_words(site: Site, page: "Page", shoot: Shoot) -> None:
    page.goto(GROUPS + "/gone")
    page.get_by_role("button", name="Materialize all").click()
    page.goto(f"/runs/{site.ended_run(page, 'gone', 1)['runId']}")
    page.get_by_text("there is no such file or folder").first.wait_for()
    shoot(page, "failed_run")


@pytest.mark.usefixtures("opened")
def test_a_broken_pipeline_is_a_sensor_that_fails_with_file_and_line(
    site: Site, page: "Page", shoot: Shoot
) -> None:
    page.goto("/automation")
    page.get_by_text(re.compile("wrong_broken_")).first.click()
    page.get_by_text(re.compile(r"wrong\.yaml:4: stepz: ")).first.wait_for()
    shoot(page, "broken_before")
    page.get_by_text("Failure", exact=True).first.wait_for()
    shoot(page, "broken")
    page.goto(GROUPS + "/plain")
    page.get_by_text("raw_meta", exact=True).first.wait_for()
    groups = site.ask("{ assetNodes { groupName } }")["assetNodes"]
    assert "wrong" not in {node["groupName"] for node in groups}


def test_the_daemon_runs_the_schedule_which_takes_new_files_in(
    opened: Site, page: "Page", shoot: Shoot
) -> None:
    def has_run() -> bool:
        runs = opened.runs(tagged="dagster/schedule_name")
        return [run["status"] for run in runs] == ["SUCCESS"]

    wait_for(has_run, 300)  # it ticks each minute
    page.goto(SCHEDULE)
    page.get_by_text("1 run requested").first.wait_for()
    shoot(page, "schedule")
    shards = sorted((opened.folder / "files/out/result").glob("*.jsonl"))
    assert [path.stem for path in shards] == FILES
    assert [read_rows(path)[0]["text"] for path in shards] == ["GOOD", "bad"]
    page.goto(f"/assets/files/texts?view=partitions&partition={FILES[1]}")
    page.get_by_text("bad is bad").wait_for()
    page.get_by_text("1 of 1 rows failed here (bad_text: 1)").wait_for()
    shoot(page, "failed_row")
