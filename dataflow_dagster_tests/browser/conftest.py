"""The UI as a user starts it: webserver and daemon on a module's pipelines, and a browser on them.

A module says which by its fixture ``made``.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from dataflow_dagster_tests.processes import wait_for
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.process import environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Make = Callable[[Path], list[Path]]
"""Writes a site's pipelines into its folder; gives their files."""

Shoot = Callable[["Page", str], None]
"""Writes what a tab shows as a picture of that name."""

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
GROUPS = "/locations/dataflow_dagster.definitions/asset-groups"
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
BACKFILL_ENDED = re.compile("COMPLETED|FAILED|CANCELED")
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"
RUNS = """{ runsOrError { ... on Runs { results {
    runId status assetSelection { path } tags { key value }
} } } }"""


@dataclass(frozen=True, slots=True)
class Site:
    """A running UI.

    Attributes:
        url: Of the webserver, without a slash at the end.
        folder: Where the pipelines and their files are.
    """

    url: str
    folder: Path

    def ask(self, query: str) -> dict[str, Any]:
        """What the webserver's API says."""
        body = json.dumps({"query": query}).encode()
        request = Request(self.url + "/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def is_up(self) -> bool:
        try:
            return "version" in self.ask("{ version }")
        except (URLError, ConnectionError):
            return False

    def runs(self, *, of: str = "", tagged: str = "") -> list[dict[str, Any]]:
        """Runs of a pipeline, or with a tag, the newest first."""
        return [
            run
            for run in self.ask(RUNS)["runsOrError"]["results"]
            if not of or of in {key["path"][0] for key in run["assetSelection"] or []}
            if not tagged or tagged in {tag["key"] for tag in run["tags"]}
        ]

    def ended_run(self, page: "Page", pipeline: str, count: int) -> dict[str, Any]:
        """The newest of so many runs of a pipeline, once it has ended; what the tab shows goes."""

        def runs() -> list[dict[str, Any]]:
            return self.runs(of=pipeline)

        wait_for(lambda: len(runs()) == count, 60)
        page.goto("about:blank")  # a page that moves takes a core from the run
        wait_for(lambda: runs()[0]["status"] in ENDED, 300)
        return runs()[0]

    def backfills(self) -> list[dict[str, Any]]:
        """All, the newest first."""
        return self.ask(BACKFILLS)["partitionBackfillsOrError"]["results"]

    def backfill_all(self, page: "Page") -> None:
        """All partitions of the group that the tab shows, by a person's clicks."""
        known = {each["id"] for each in self.backfills()}

        def has_ended() -> bool:
            new = [each for each in self.backfills() if each["id"] not in known]
            return bool(new) and BACKFILL_ENDED.match(new[0]["status"]) is not None

        page.get_by_role("button", name="Materialize all").click()
        dialog = page.get_by_role("dialog")
        launch = dialog.get_by_role("button", name="Launch backfill")

        def is_ready() -> bool:  # a click before the partitions are listed takes none of them
            dialog.get_by_role("button", name="All", exact=True).click()
            return launch.is_enabled()

        wait_for(is_ready, 60)
        launch.click()
        wait_for(lambda: len(self.backfills()) > len(known), 60)
        page.goto("about:blank")
        wait_for(has_ended, 300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, made: Make) -> Iterator[Site]:
    """A UI on the module's own pipelines."""
    folder = tmp_path_factory.mktemp("site")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "dagster", "dev", "-m", "dataflow_dagster.definitions", "-p", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=_environment(folder, made(folder)),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    site = Site(f"http://127.0.0.1:{port}", folder)
    try:
        wait_for(site.is_up, 200)
        yield site
    finally:
        _end(process)


def _environment(folder: Path, files: list[Path]) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    extra = {"DAGSTER_HOME": str(home), "DATAFLOW_PIPELINES": os.pathsep.join(map(str, files))}
    return environment(folder, extra)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the webserver, the daemon, the code servers and the runs."""
    import psutil

    family = [*psutil.Process(process.pid).children(recursive=True)]
    process.kill()  # nothing of what it would tidy up is looked at any more
    process.wait()
    for left in family:
        left.kill()
    psutil.wait_procs(family, timeout=20)


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """A headless Chromium; while it is open nothing else in this process may run a loop."""
    require("playwright.sync_api", "pip install -e '.[test]'")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(site: Site, chromium: "Browser") -> "Iterator[Page]":
    """One tab, as wide as a desk's screen."""
    page = chromium.new_page(base_url=site.url, viewport={"width": 1400, "height": 900})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def _chromium() -> str:
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        reason = f"needs one of {', '.join(CHROMIUMS)} on the PATH"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@pytest.fixture
def shoot() -> Shoot:
    """Writes what a tab shows as ``<name>.png``, where ``DATAFLOW_SCREENSHOTS`` is a folder."""
    folder = os.environ.get("DATAFLOW_SCREENSHOTS")

    def write(page: "Page", name: str) -> None:
        if folder is not None:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return write
