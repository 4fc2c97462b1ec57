"""Code blocks and links of the project's pages."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def fences(page: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block, in order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return [text for fenced, text in fences(page) if fenced == language]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def block_titled(page: Path, title: str) -> str:
    """The YAML block whose first line is the comment ``# <title>``."""
    (found,) = [block for block in blocks(page, "yaml") if block.startswith(f"# {title}\n")]
    return found
