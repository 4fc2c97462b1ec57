"""The UI as a user starts it: webserver and daemon on a few pipelines, and a browser on them."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.toys.pipelines import (
    NAME,
    PAINT,
    SHOUT,
    picture_rows,
    text_rows,
    with_config,
    write_pipeline,
    write_rows,
)
from dataflow_dagster_tests.toys.process import environment

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Make = Callable[[Path], list[Path]]
"""Writes a site's pipelines into its folder; gives their files."""

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


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


def wait_for(holds: Callable[[], bool], seconds: float) -> None:
    """Look twice a second until it holds.

    Raises:
        TimeoutError: It does not hold in time.
    """
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"{holds} did not hold in {seconds} s")
        time.sleep(0.5)


@pytest.fixture(scope="module")
def made() -> Make:
    """Pictures that are captioned and drawn, texts that are watched, files taken by the clock."""
    return lambda folder: [_drawn(folder), _watched(folder), _by_the_clock(folder)]


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
        wait_for(site.is_up, 100)
        yield site
    finally:
        _end(process)


def _environment(folder: Path, files: list[Path]) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    extra = {"DAGSTER_HOME": str(home), "DATAFLOW_PIPELINES": os.pathsep.join(map(str, files))}
    return environment(folder, extra)


def _drawn(folder: Path) -> Path:
    rows = picture_rows(folder / "pictures", 10)
    return write_pipeline(
        folder,
        [NAME, with_config(PAINT, side=64)],
        rows=rows,
        shards=3,
        meta_folder=str(folder / "pictures"),
    )


def _watched(folder: Path) -> Path:
    file = write_pipeline(folder, [SHOUT], name="texts", rows=text_rows(10), shards=3, watch=5)
    os.utime(folder / "texts/in.jsonl", (0, 0))  # long since whole: run at the first look
    return file


def _by_the_clock(folder: Path) -> Path:
    """Three files, of which a run takes two; one row is bad."""
    for name, text in (("a", "good"), ("b", "bad"), ("c", "good")):
        write_rows(folder / f"files/in/{name}.jsonl", [{"id": name, "text": text}])
    return write_pipeline(
        folder,
        [SHOUT],
        name="files",
        meta_path=str(folder / "files/in"),
        files_per_shard=1,
        shards_per_run=2,
        schedule="* * * * *",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the webserver, the daemon, the code servers and the runs."""
    import psutil

    family = [*psutil.Process(process.pid).children(recursive=True)]
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for left in psutil.wait_procs(family, timeout=5)[1]:
        left.kill()


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
    page.set_default_timeout(20_000)
    yield page
    page.close()


def _chromium() -> str:
    found = next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if found is None:
        reason = f"needs one of {', '.join(CHROMIUMS)} on the PATH"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@pytest.fixture
def shoot() -> "Callable[[Page, str], None]":
    """Writes what a tab shows as ``<name>.png``, where ``DATAFLOW_SCREENSHOTS`` is a folder."""
    folder = os.environ.get("DATAFLOW_SCREENSHOTS")

    def write(page: "Page", name: str) -> None:
        if folder is not None:
            page.screenshot(path=Path(folder) / f"{name}.png")

    return write
