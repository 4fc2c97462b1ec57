"""A pipeline without partitions in a real browser: its runs, pages and what goes wrong."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dataflow_dagster_tests.browser.conftest import Make, Site, wait_for
from dataflow_dagster_tests.toys.pipelines import SHOUT, read_rows, text_rows, write_pipeline

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Shoot = Callable[["Page", str], None]

GROUPS = "/locations/dataflow_dagster.definitions/asset-groups"
RUNS = "{ runsOrError { ... on Runs { results { runId status assetSelection { path } } } } }"
ENDED = ("SUCCESS", "FAILURE", "CANCELED")


@pytest.fixture(scope="module")
def made() -> Make:
    """One that has no partitions, one whose input is gone, and one that is broken."""
    return lambda folder: [
        write_pipeline(folder, [SHOUT], name="plain", rows=text_rows(10)),
        write_pipeline(folder, [SHOUT], name="gone", meta_path=str(folder / "gone.jsonl")),
        write_pipeline(folder, [SHOUT], name="wrong", stepz=1),
    ]


def runs_of(site: Site, pipeline: str) -> list[dict[str, Any]]:
    """The newest first."""
    runs = site.ask(RUNS)["runsOrError"]["results"]
    return [
        run for run in runs if (run["assetSelection"] or [{}])[0].get("path", [""])[0] == pipeline
    ]


def ended(site: Site, pipeline: str, count: int) -> str:
    """The newest run of so many of a pipeline, once it has ended."""

    def has_ended() -> bool:
        runs = runs_of(site, pipeline)
        return len(runs) == count and runs[0]["status"] in ENDED

    wait_for(has_ended, 180)
    return str(runs_of(site, pipeline)[0]["runId"])


@pytest.fixture(scope="module")
def materialized(site: Site, page: "Page") -> str:
    """The run of all assets of ``plain``, begun by a click."""
    page.goto(GROUPS + "/plain")
    page.get_by_role("button", name="Skip").click()  # "Join the Dagster community"
    page.get_by_role("button", name="Materialize all").click()
    return ended(site, "plain", 1)


def test_a_runs_page_tells_how_many_rows_each_step_made(
    materialized: str, page: "Page", shoot: Shoot
) -> None:
    page.goto(f"/runs/{materialized}")
    page.get_by_placeholder("Filter…", exact=True).fill("10 rows, 0 failed")  # of a long list
    for asset in ("raw_meta", "texts", "results"):
        page.get_by_text(re.compile(f"{asset}: 10 rows, 0 failed, in ")).first.wait_for()
    shoot(page, "run")


@pytest.mark.usefixtures("materialized")
def test_an_asset_without_partitions_shows_its_numbers_and_rows(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/plain/texts")
    page.get_by_text("Toy Shouter").first.wait_for()
    page.goto("/assets/plain/texts?view=events")
    page.get_by_text("dagster/row_count").first.wait_for()
    page.get_by_text("rows_per_second").first.wait_for()
    shoot(page, "unpartitioned")


@pytest.mark.usefixtures("materialized")
def test_numbers_are_plotted_over_time(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/plain/texts?view=checks")
    page.get_by_text("Plots", exact=True).first.wait_for()
    page.locator("canvas").first.wait_for()
    shoot(page, "plots")


@pytest.mark.usefixtures("materialized")
@pytest.mark.parametrize("asset", ["raw_meta", "texts", "results"])
def test_every_assets_checks_have_a_verdict(page: "Page", shoot: Shoot, asset: str) -> None:
    page.goto(f"/assets/plain/{asset}?view=checks")
    page.get_by_text("Succeeded", exact=True).first.wait_for()
    shoot(page, f"checks_{asset}")


@pytest.mark.usefixtures("materialized")
def test_a_run_that_fails_says_why_in_words(site: Site, page: "Page", shoot: Shoot) -> None:
    page.goto(GROUPS + "/gone")
    page.get_by_role("button", name="Materialize all").click()
    page.goto(f"/runs/{ended(site, 'gone', 1)}")
    page.get_by_text("there is no such file or folder").first.wait_for()
    shoot(page, "failed_run")


@pytest.mark.usefixtures("materialized")
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


@pytest.mark.usefixtures("materialized")
def test_its_rows_are_in_the_file_that_the_page_names(site: Site) -> None:
    rows = read_rows(site.folder / "plain/out/result.jsonl")
    assert [row["text"] for row in rows] == [row["text"].upper() for row in text_rows(10)]
