"""Links, commands and translations of all pages."""

import re
import shlex
from pathlib import Path

import click
import pytest

from dataflow_dagster.cli.main import main
from dataflow_dagster_tests.docs.reading import DOCS, PAGES, ROOT, blocks, fences, prose

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CHINESE = DOCS / "README.zh-CN.md"


def _slugs(page: Path) -> set[str]:
    """Anchors that GitHub gives a page's headings."""
    heads = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {head.replace(" ", "-") for head in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in _slugs(target), link


def test_every_page_is_one_click_from_the_readme() -> None:
    named = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(prose(PAGES[0]))}
    assert {page for page in PAGES[1:] if page not in named} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_one_with_options_it_has(page: Path) -> None:
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    for line in lines:
        words = shlex.split(line.split(" | ")[0], comments=True)
        if words[:3] != ["python", "-m", "dataflow_dagster"]:
            continue
        command = main.commands[words[3]]
        above = click.Context(main, **main.context_settings)  # else click keeps no -h for it
        command.make_context(words[3], words[4:], parent=above)  # raises where used wrongly


def test_the_chinese_readme_has_the_same_code() -> None:
    assert fences(CHINESE) == fences(ROOT / "README.md")


def _codes(page: Path) -> list[list[list[list[str]]]]:
    """What stands between backticks, by table, line and cell."""
    tables = re.findall(r"(?:^\|.*\n)+", prose(page), flags=re.MULTILINE)
    return [
        [
            [sorted(re.findall(r"`(.*?)`", cell)) for cell in line.strip("| ").split("|")]
            for line in table.splitlines()
        ]
        for table in tables
    ]


def test_the_chinese_readmes_tables_have_the_same_lines_and_code() -> None:
    assert _codes(CHINESE) == _codes(ROOT / "README.md")


def test_both_readmes_lead_to_each_other() -> None:
    assert "docs/README.zh-CN.md" in LINK.findall(prose(ROOT / "README.md"))
    assert "../README.md" in LINK.findall(prose(CHINESE))


def test_every_command_has_its_help_with_an_example_or_an_exit_code() -> None:
    for name, command in main.commands.items():
        assert isinstance(command, click.Command)
        said = command.help or ""
        assert said[0].isupper(), name
        assert "Exit code" in said or "Examples:" in said or name == "models", name
