"""The shipped demo in a real browser, whole and in shards; tests build on each other's state.

The demo itself stands beside captions of a toy's in three shards, whose file is watched.
"""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dataflow_dagster.factory.partitions import shard_key
from dataflow_dagster.rows import Row
from dataflow_dagster_tests.browser.conftest import GROUPS, Make, Shoot, Site
from dataflow_dagster_tests.processes import wait_for
from dataflow_dagster_tests.toys.models import COLORS
from dataflow_dagster_tests.toys.pipelines import NAME, picture_rows, read_rows, write_pipeline
from dataflow_dagster_tests.toys.process import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

DEMO = ROOT / "data/pipelines/demo.yaml"
ROWS = [json.loads(line) for line in (ROOT / "data/demo/images.jsonl").read_text().splitlines()]
FEW = 9
WITHOUT_VLLM = "import sys\nsys.modules['vllm'] = None\n"
"""As the README installs it first: captions come of transformers, which starts faster."""
NAMED = [f"a {list(COLORS)[number % len(COLORS)]}" for number in range(FEW)]
KEYS = [shard_key(part, 3) for part in range(3)]
ASSETS = ("raw_meta", "captions", "generated_images", "results")
CHECKS = {
    "raw_meta": ("complete", "failed_share"),
    "captions": ("complete", "empty_texts", "failed_share", "repeated_texts"),
    "generated_images": ("blank_pictures", "complete", "failed_share", "repeated_pictures"),
    "results": ("complete", "failed_share"),
}
SENSOR = "/locations/dataflow_dagster.definitions/sensors/sharded_watch"


@pytest.fixture(scope="module")
def made() -> Make:
    """The demo and the toy; what they write lies in the site's folder."""

    def write(folder: Path) -> list[Path]:
        (folder / "data").symlink_to(ROOT / "data")
        (folder / "site").mkdir()
        (folder / "site/sitecustomize.py").write_text(WITHOUT_VLLM)
        sharded = write_pipeline(
            folder,
            [NAME],
            rows=picture_rows(folder / "pictures", FEW),
            name="sharded",
            meta_folder=str(folder / "pictures"),
            shards=3,
            watch=5,
        )
        os.utime(folder / "sharded/in.jsonl", (0, 0))  # long since whole: run at the first look
        return [DEMO, sharded]

    return write


def shard_rows(site: Site) -> list[Row]:
    """The results of the toy."""
    shards = sorted((site.folder / "sharded/out/result").glob("*.jsonl"))
    assert [path.stem for path in shards] == KEYS
    return [row for path in shards for row in read_rows(path)]


def see_thumbnails(page: "Page") -> None:
    """Unfold the pictures in the metadata that the tab shows."""
    page.get_by_text("[Show Markdown]").last.click()
    thumbnail = page.get_by_role("dialog").locator('img[src^="data:image/jpeg;base64,"]').first
    thumbnail.wait_for()
    assert thumbnail.evaluate("img => img.complete && img.naturalWidth > 0")


@pytest.fixture(scope="module")
def whole(site: Site, page: "Page") -> Site:
    """All assets of the demo, by a click."""
    page.goto(GROUPS + "/demo")
    page.get_by_role("button", name="Skip").click()  # "Join the Dagster community"
    page.get_by_role("button", name="Materialize all").click()
    assert site.ended_run(page, "demo", 1)["status"] == "SUCCESS"
    return site


@pytest.fixture(scope="module")
def watched(whole: Site) -> Site:
    """All three shards, run by their sensor."""

    def has_run() -> bool:
        runs = whole.runs(tagged="dataflow_dagster/watch")
        return [run["status"] for run in runs] == ["SUCCESS"]

    wait_for(has_run, 300)
    return whole


@pytest.fixture(scope="module")
def sharded(watched: Site, page: "Page") -> Site:
    """The three shards again, of all assets, by a person's clicks."""
    page.goto(GROUPS + "/sharded")
    watched.backfill_all(page)
    return watched


def test_the_demo_is_captioned_and_drawn_by_a_click(whole: Site) -> None:
    rows = read_rows(whole.folder / "results/demo/result.jsonl")
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS]
    assert [row["text"] for row in rows] == [row["truth"] for row in ROWS]
    drawn = [whole.folder / "results/demo" / row["image"] for row in rows]
    assert all(path.is_file() for path in drawn)


def test_a_runs_page_tells_how_many_rows_each_step_made(
    whole: Site, page: "Page", shoot: Shoot
) -> None:
    page.goto(f"/runs/{whole.ended_run(page, 'demo', 1)['runId']}")
    page.get_by_placeholder("Filter…", exact=True).fill("64 rows, 0 failed")  # of a long list
    for asset in ASSETS:
        page.get_by_text(re.compile(f"{asset}: 64 rows, 0 failed, in ")).first.wait_for()
    shoot(page, "run")


@pytest.mark.usefixtures("whole")
def test_the_group_shows_the_lineage_of_all_assets(page: "Page", shoot: Shoot) -> None:
    page.goto(GROUPS + "/demo")
    for asset in ASSETS:
        page.get_by_text(asset, exact=True).first.wait_for()
    page.get_by_text("Materialized").nth(3).wait_for()
    page.get_by_text("4 / 4 Passed").first.wait_for()
    shoot(page, "lineage")


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("asset", ASSETS)
def test_an_asset_tells_its_story(page: "Page", shoot: Shoot, asset: str) -> None:
    page.goto(f"/assets/demo/{asset}")
    told = {
        "raw_meta": "The user's rows, each with an id",
        "captions": "LLaVA 1.5, 7 billion weights",
        "generated_images": "FLUX.1 [dev], 12 billion weights",
        "results": "Rows under the user's own keys",
    }
    page.get_by_text(told[asset]).first.wait_for()
    page.get_by_text(re.compile(r"demo\.yaml:\d+")).first.wait_for()
    shoot(page, f"overview_{asset}")
    page.goto(f"/assets/demo/{asset}?view=events")
    page.get_by_text("dagster/row_count").first.wait_for()
    page.get_by_text("rows_per_second").first.wait_for()
    shoot(page, f"events_{asset}")
    see_thumbnails(page)
    shoot(page, f"thumbnails_{asset}")


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("asset", ASSETS)
def test_every_check_of_an_asset_has_a_verdict(page: "Page", shoot: Shoot, asset: str) -> None:
    page.goto(f"/assets/demo/{asset}?view=checks")
    for check in CHECKS[asset]:
        page.get_by_text(check, exact=True).first.wait_for()
    page.get_by_text("complete", exact=True).first.click()
    page.get_by_text("64 of 64 rows are here, each in its place").first.wait_for()
    page.get_by_text("Succeeded", exact=True).nth(len(CHECKS[asset]) - 1).wait_for()
    shoot(page, f"checks_{asset}")


@pytest.mark.usefixtures("whole")
def test_numbers_are_plotted_over_time(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/demo/captions?view=checks")
    page.get_by_text("Plots", exact=True).first.wait_for()
    page.locator("canvas").first.wait_for()
    shoot(page, "plots")


def test_the_sensor_of_a_watched_file_ticks_and_its_run_succeeds(
    watched: Site, page: "Page", shoot: Shoot
) -> None:
    page.goto(SENSOR)
    page.get_by_text("~5 sec").wait_for()
    page.get_by_text("Runs", exact=True).last.click()  # the tab, below the navigation's
    page.get_by_text("Success", exact=True).first.wait_for()
    shoot(page, "sensor")
    assert [row["text"] for row in shard_rows(watched)] == NAMED


def test_a_backfill_of_three_shards_is_one_run_and_leaves_all_rows(sharded: Site) -> None:
    assert [each["status"] for each in sharded.backfills()] == ["COMPLETED_SUCCESS"]
    runs = sharded.runs(tagged="dagster/backfill")
    assert [run["status"] for run in runs] == ["SUCCESS"]
    assert [row["text"] for row in shard_rows(sharded)] == NAMED


@pytest.mark.usefixtures("sharded")
def test_the_partitions_page_lists_the_shards(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/sharded/captions?view=partitions")
    page.get_by_text("Materialized (3)").wait_for()
    for key in KEYS:
        page.get_by_text(key).first.wait_for()
    shoot(page, "partitions")


@pytest.mark.usefixtures("sharded")
@pytest.mark.parametrize("asset", ["captions", "results"])
def test_a_partition_shows_its_numbers_and_thumbnails(
    page: "Page", shoot: Shoot, asset: str
) -> None:
    page.goto(f"/assets/sharded/{asset}?view=partitions&partition={KEYS[0]}")
    page.get_by_text("Materialized (3)").wait_for()
    see_thumbnails(page)
    shoot(page, f"thumbnails_of_a_shard_{asset}")


@pytest.mark.usefixtures("sharded")
def test_the_backfills_page_lists_it_with_its_shards_and_how_it_ended(
    page: "Page", shoot: Shoot
) -> None:
    page.goto("/runs?view=backfills")
    page.get_by_text("3 partitions").wait_for()
    page.get_by_text("Success", exact=True).first.wait_for()
    shoot(page, "backfills")
