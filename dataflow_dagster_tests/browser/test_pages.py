"""What a person clicks and sees, in a real browser; the tests build on each other's state."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dataflow_dagster.factory.partitions import RANGE_START, shard_key
from dataflow_dagster_tests.browser.conftest import Site, wait_for
from dataflow_dagster_tests.toys.pipelines import read_rows, text_rows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Shoot = Callable[["Page", str], None]

KEYS = [shard_key(part, 3) for part in range(3)]
FILES = ["00000-a", "00001-b", "00002-c"]
ASSETS = ("raw_meta", "captions", "generated_images", "results")
LOCATION = "/locations/dataflow_dagster.definitions"
GROUPS = LOCATION + "/asset-groups"
SENSOR = LOCATION + "/sensors/texts_watch"
SCHEDULE = LOCATION + "/schedules/files_schedule"
ENDED = re.compile("COMPLETED|FAILED|CANCELED")
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"
RUNS = "{ runsOrError { ... on Runs { results { status tags { key value } } } } }"


def tagged_runs(site: Site, tag: str) -> list[dict[str, Any]]:
    runs = site.ask(RUNS)["runsOrError"]["results"]
    return [run for run in runs if any(each["key"] == tag for each in run["tags"])]


def backfills(site: Site) -> list[dict[str, Any]]:
    return site.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]


def backfill_all(site: Site, page: "Page") -> None:
    """All partitions of the group that the tab shows, by a person's clicks."""
    known = {each["id"] for each in backfills(site)}

    def has_ended() -> bool:
        new = [each for each in backfills(site) if each["id"] not in known]
        return bool(new) and ENDED.match(new[0]["status"]) is not None

    page.get_by_role("button", name="Materialize all").click()
    dialog = page.get_by_role("dialog")
    launch = dialog.get_by_role("button", name="Launch backfill")

    def is_ready() -> bool:  # a click before the partitions are listed takes none of them
        dialog.get_by_role("button", name="All", exact=True).click()
        return launch.is_enabled()

    wait_for(is_ready, 60)
    launch.click()
    wait_for(has_ended, 180)


@pytest.fixture(scope="module")
def materialized(site: Site, page: "Page") -> Site:
    """All shards of all assets of ``demo``."""
    page.goto(GROUPS + "/demo")
    page.get_by_role("button", name="Skip").click()  # "Join the Dagster community"
    backfill_all(site, page)
    return site


def test_materializing_all_shards_by_a_click_is_one_run_and_leaves_all_rows(
    materialized: Site,
) -> None:
    assert [each["status"] for each in backfills(materialized)] == ["COMPLETED_SUCCESS"]
    runs = tagged_runs(materialized, "dagster/backfill")
    assert [run["status"] for run in runs] == ["SUCCESS"]
    shards = sorted((materialized.folder / "demo/out/result").glob("*.jsonl"))
    assert [path.stem for path in shards] == KEYS
    texts = [row["text"] for path in shards for row in read_rows(path)]
    assert texts == ["a red", "a green", "a blue"] * 3 + ["a red"]


@pytest.mark.usefixtures("materialized")
def test_the_group_shows_the_lineage_of_all_assets(page: "Page", shoot: Shoot) -> None:
    page.goto(GROUPS + "/demo")
    for asset in ASSETS:
        page.get_by_text(asset, exact=True).first.wait_for()
    page.get_by_text("100% filled").nth(3).wait_for()
    page.get_by_text("4 / 4 Passed").wait_for()
    page.get_by_text("2 / 4 Passed").wait_for()  # the painter's pictures are blank, and some equal
    shoot(page, "lineage")


@pytest.mark.usefixtures("materialized")
@pytest.mark.parametrize("asset", ASSETS)
def test_a_partition_shows_its_numbers_and_thumbnails(
    page: "Page", shoot: Shoot, asset: str
) -> None:
    page.goto(f"/assets/demo/{asset}?view=partitions&partition={KEYS[0]}")
    page.get_by_text("Materialized (3)").wait_for()
    page.get_by_text("[Show Markdown]").last.click()
    thumbnail = page.get_by_role("dialog").locator('img[src^="data:image/jpeg;base64,"]').first
    thumbnail.wait_for()
    assert thumbnail.evaluate("img => img.complete && img.naturalWidth > 0")
    shoot(page, f"thumbnails_{asset}")


@pytest.mark.usefixtures("materialized")
def test_the_partitions_page_lists_the_shards(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/demo/captions?view=partitions")
    page.get_by_text("Materialized (3)").wait_for()
    for key in KEYS:
        page.get_by_text(key).first.wait_for()
    shoot(page, "partitions")


@pytest.mark.usefixtures("materialized")
def test_the_checks_page_has_a_verdict_of_each_check(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/demo/captions?view=checks")
    for check in ("complete", "empty_texts", "failed_share", "repeated_texts"):
        page.get_by_text(check, exact=True).first.wait_for()
    page.get_by_text("10 of 10 rows are here, each in its place").wait_for()
    page.get_by_text("Succeeded", exact=True).nth(3).wait_for()
    shoot(page, "checks")


@pytest.mark.usefixtures("materialized")
def test_the_overview_tells_the_model_and_the_line_of_its_step(page: "Page", shoot: Shoot) -> None:
    page.goto("/assets/demo/captions")
    page.get_by_text("Toy Namer: Names the colour of a picture.").wait_for()
    page.get_by_text(re.compile(r"demo\.yaml:\d+")).first.wait_for()
    shoot(page, "overview")


def test_the_sensor_of_a_watched_file_ticks_and_its_run_succeeds(
    materialized: Site, page: "Page", shoot: Shoot
) -> None:
    def has_run() -> bool:
        runs = tagged_runs(materialized, "dataflow_dagster/watch")
        return [run["status"] for run in runs] == ["SUCCESS"]

    wait_for(has_run, 60)
    page.goto(SENSOR)
    page.get_by_text("1 run requested").first.wait_for()
    page.get_by_text("~5 sec").wait_for()
    shoot(page, "sensor")
    shards = sorted((materialized.folder / "texts/out/result").glob("*.jsonl"))
    texts = [row["text"] for path in shards for row in read_rows(path)]
    assert texts == [row["text"].upper() for row in text_rows(10)]


@pytest.mark.usefixtures("materialized")
def test_the_backfills_page_lists_it_with_its_shards_and_how_it_ended(
    page: "Page", shoot: Shoot
) -> None:
    page.goto("/runs?view=backfills")
    page.get_by_text("3 partitions").wait_for()
    page.get_by_text("Success", exact=True).first.wait_for()
    shoot(page, "backfills")


def test_the_daemon_runs_the_schedule_which_takes_new_files_in(
    materialized: Site, page: "Page", shoot: Shoot
) -> None:
    def has_run() -> bool:
        runs = tagged_runs(materialized, "dagster/schedule_name")
        return [run["status"] for run in runs] == ["SUCCESS", "SUCCESS"]

    wait_for(has_run, 150)  # it ticks each minute
    page.goto(SCHEDULE)
    page.get_by_text("2 runs requested").first.wait_for()
    shoot(page, "schedule")
    shards = sorted((materialized.folder / "files/out/result").glob("*.jsonl"))
    assert [path.stem for path in shards] == FILES
    assert [read_rows(path)[0]["text"] for path in shards] == ["GOOD", "bad", "GOOD"]


def test_shards_of_files_are_backfilled_from_the_ui_and_a_bad_one_says_why(
    materialized: Site, page: "Page", shoot: Shoot
) -> None:
    page.goto(GROUPS + "/files")
    backfill_all(materialized, page)
    assert {each["status"] for each in backfills(materialized)} == {"COMPLETED_SUCCESS"}
    begun = [
        {tag["key"]: tag["value"] for tag in run["tags"]}[RANGE_START]
        for run in tagged_runs(materialized, "dagster/backfill")
    ]
    assert set(begun) == {FILES[0], FILES[2], KEYS[0]}
    assert len(begun) == 3
    page.goto(f"/assets/files/texts?view=partitions&partition={FILES[1]}")
    page.get_by_text("bad is bad").wait_for()
    page.get_by_text("1 of 1 rows failed here (bad_text: 1)").wait_for()
    shoot(page, "failed_row")
