"""The page over all shards' pages."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from dataflow_dagster.gallery.links import link
from dataflow_dagster.gallery.page import page_path
from dataflow_dagster.gallery.writing import filled, template, write_whole
from dataflow_dagster.ledger.manifest import Tally, sum_of
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RESULTS, Layout
from dataflow_dagster.stores import mirrors


def write_index(pipeline: PipelineSpec, keys: Sequence[str]) -> Path:
    """Write ``<save_folder>/gallery.html`` over the pages of shards that are there.

    Args:
        pipeline: A sharded one, with its environment resolved.
        keys: Its shards, in order; pages of another split stay away.
    """
    path = page_path(pipeline, None)
    layout = Layout(pipeline)
    tallies: dict[Path, Tally] = {}
    mirrors.look(layout.stem(RESULTS))
    for page in pages_of(pipeline, keys):
        manifest = layout.shard(RESULTS, page.stem).manifest()
        if manifest is not None:
            tallies[page] = manifest.tally
    total = sum_of(tallies.values())
    values = {
        "title": escape(pipeline.name),
        "css": template("page.css"),
        "heading": escape(pipeline.name),
        "counts": f"{len(tallies):,} shards, {total.rows:,} rows, {_failed(total):,} failed",
        "lines": "\n".join(_line(page, tally, path.parent) for page, tally in tallies.items()),
        "js": template("theme.js"),
    }
    text = filled(template("index.html"), values)
    mirrors.bring(path)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_whole(path, text)
        mirrors.put(path)
    return path


def pages_of(pipeline: PipelineSpec, keys: Sequence[str]) -> list[Path]:
    """The pages of these shards that are there, in order."""
    folder = page_path(pipeline, "any").parent
    there = set(mirrors.names(folder))
    return [folder / f"{key}.html" for key in keys if f"{key}.html" in there]


def _line(page: Path, tally: Tally, folder: Path) -> str:
    failed = _failed(tally)
    cells = [
        f'<td><a href="{escape(link(page, folder))}">{escape(page.stem)}</a></td>',
        f'<td class="number">{tally.rows:,}</td>',
        f'<td class="number{" bad" if failed else ""}">{failed:,}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _failed(tally: Tally) -> int:
    return tally.passed + tally.failed
