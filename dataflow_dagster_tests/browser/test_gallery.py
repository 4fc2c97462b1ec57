"""The page of results, opened from disk in a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from dataflow_dagster_tests.conftest import register_toys
from dataflow_dagster_tests.toys.pipelines import NAME, PAINT, picture_rows, pipeline, with_config
from dataflow_dagster_tests.toys.runs import materialize

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

BAD = 3
DARKNESS = """() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);
    return 1 - (r + g + b) / 765;
}"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of four good rows, of which it has three at first, and of three bad ones."""
    folder = tmp_path_factory.mktemp("gallery")
    rows = picture_rows(folder / "in", 4)
    for number in range(BAD):
        Image.new("RGB", (4, 4), "white").save(folder / f"in/white{number}.png")
        rows.append({"id": f"bad{number}", "image": f"white{number}.png"})
    with pytest.MonkeyPatch.context() as patch:
        register_toys(patch)
        patch.setattr("dataflow_dagster.gallery.page.FIRST_ROWS", 3)
        patch.setattr("dataflow_dagster.gallery.page.FAILED_IN_PAGE", 1)
        steps = [NAME, with_config(PAINT, side=200)]
        of = pipeline(folder, steps, rows=rows, meta_folder=str(folder / "in"))
        assert materialize(of).success
    return Path(of.save_folder) / "gallery.html"


@pytest.fixture
def gallery(drawn: Path, chromium: "Browser") -> "Iterator[Page]":
    page = chromium.new_page(viewport={"width": 1200, "height": 800}, color_scheme="light")
    page.set_default_timeout(10_000)
    page.goto(drawn.as_uri())
    yield page
    page.close()


def words_of(part: "Locator") -> str:
    """Its texts; `inner_text` has none of a card not laid out yet (`content-visibility`)."""
    return part.text_content() or ""


def test_each_row_shows_its_picture_its_caption_and_the_picture_drawn_of_it(
    gallery: "Page", shoot: Callable[["Page", str], None]
) -> None:
    first = gallery.locator("article").first
    for number, width in ((0, 4), (1, 200)):
        picture = first.locator("img").nth(number)
        picture.evaluate("img => img.complete || new Promise(done => img.onload = done)")
        assert picture.evaluate("img => img.naturalWidth") == width
    assert "a red" in words_of(first)
    assert "7 rows, 3 failed" in words_of(gallery.locator(".counts"))
    shoot(gallery, "gallery")


def test_failed_rows_are_told_from_done_ones_and_all_can_be_loaded(
    gallery: "Page", shoot: Callable[["Page", str], None]
) -> None:
    cards = gallery.locator("article")
    assert cards.count() == 4
    gallery.get_by_role("button", name="Done").click()
    assert cards.count() == 3
    assert gallery.locator("article.failed").count() == 0
    gallery.get_by_role("button", name="Failed", exact=True).click()
    assert cards.count() == 1
    assert "captions: unknown_color" in words_of(cards.first)
    gallery.get_by_role("button", name="Load more failed rows").click()
    gallery.get_by_text("bad2").wait_for()
    assert cards.count() == BAD
    shoot(gallery, "gallery_failed")


def test_words_find_rows(gallery: "Page") -> None:
    cards = gallery.locator("article")
    gallery.get_by_label("Search").fill("  A Blue ")
    assert cards.count() == 1
    assert "a blue" in words_of(cards.first)
    gallery.get_by_label("Search").fill("has no name")
    assert "unknown_color" in words_of(cards.first)
    gallery.get_by_label("Search").fill("nothing of the kind")
    gallery.get_by_text("No row is like that.").wait_for()
    assert cards.count() == 0


def test_it_is_dark_where_the_system_is_and_where_the_button_says_so(
    gallery: "Page", shoot: Callable[["Page", str], None]
) -> None:
    assert gallery.evaluate(DARKNESS) < 0.2
    gallery.emulate_media(color_scheme="dark")
    assert gallery.evaluate(DARKNESS) > 0.8
    shoot(gallery, "gallery_dark")
    gallery.get_by_title("Light or dark").click()
    assert gallery.evaluate(DARKNESS) < 0.2
    gallery.emulate_media(color_scheme="light")
    gallery.get_by_title("Light or dark").click()
    assert gallery.evaluate(DARKNESS) > 0.8
