"""`gallery`: a pipeline's results in a browser, without a server."""

import webbrowser
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import click

from dataflow_dagster.cli.opening import Failed, config_option, resolved
from dataflow_dagster.factory.partitions import shard_keys
from dataflow_dagster.gallery.index import pages_of, write_index
from dataflow_dagster.gallery.page import FIRST_ROWS, write_page
from dataflow_dagster.ledger.shard import BrokenShardError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RESULTS, Layout
from dataflow_dagster.stores import mirrors
from dataflow_dagster.stores.mirror import Mirror
from dataflow_dagster.stores.store import StoreError

SHARDS_BROUGHT = 10
"""Of a gallery in a store: the pages of so many shards come with their first pictures."""


@click.command()
@config_option
@click.option("--open/--no-open", "shown", default=True, help="Open it, or only say where it is.")
def gallery(config: Path, shown: bool) -> None:
    """Open the page of a pipeline's results.

    Pictures, texts, seeds and failed rows, searched by words. It is a file beside the results and
    needs no server; from a store it is brought to this machine, of up to 10 shards with the
    pictures it shows at first. Exit code 1: there are no results yet.
    """
    pipeline = resolved(config)
    try:
        path = _written(pipeline)
        mirror = mirrors.mirror_of(path)
        if mirror is not None:
            click.echo(mirror.address(path))
            _bring(pipeline, mirror)
    except (BrokenShardError, StoreError) as error:
        raise Failed(str(error)) from error
    click.echo(path)
    if shown:
        webbrowser.open(path.absolute().as_uri())


def _written(pipeline: PipelineSpec) -> Path:
    layout, above = Layout(pipeline), pipeline.steps[-1].asset
    keys = shard_keys(pipeline)
    if pages_of(pipeline, keys):
        return write_index(pipeline, keys)
    manifest = None if pipeline.is_sharded else layout.shard(RESULTS).manifest()
    if manifest is not None:
        return write_page(pipeline, layout.shard(above), manifest)
    where = mirrors.address(layout.folder(RESULTS))
    raise Failed(f"{where} holds no results yet: run it first")


def _bring(pipeline: PipelineSpec, mirror: Mirror) -> None:
    """Pages, what they load, and the pictures they show at first."""
    folder = Layout(pipeline).save_folder
    for pages in (folder / "gallery", folder / "gallery_failed"):
        mirror.bring_all(mirror.walk(pages))
    mirror.bring_all(_shown(pipeline, folder))


def _shown(pipeline: PipelineSpec, folder: Path) -> Iterator[Path]:
    layout = Layout(pipeline)
    media = [step.asset for step in pipeline.steps if step.config.writes != "text"]
    for key in (shard_keys(pipeline) or [None])[:SHARDS_BROUGHT]:
        shard = layout.shard(RESULTS, key)
        rows = islice(shard.rows(), FIRST_ROWS) if shard.manifest() is not None else ()
        for row in rows:
            for value in row.values():
                if isinstance(value, str) and value.partition("/")[0] in media:
                    yield folder / value
