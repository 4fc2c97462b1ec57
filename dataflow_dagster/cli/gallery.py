"""`gallery`: a pipeline's results in a browser, without a server."""

import webbrowser
from pathlib import Path

import click

from dataflow_dagster.cli.opening import Failed, config_option, resolved
from dataflow_dagster.gallery.index import write_index
from dataflow_dagster.gallery.page import page_path, write_page
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RESULTS, Layout


@click.command()
@config_option
@click.option("--open/--no-open", "shown", default=True, help="Open it, or only say where it is.")
def gallery(config: Path, shown: bool) -> None:
    """Open the page of a pipeline's results.

    Pictures, texts, seeds and failed rows, searched by words. It is a file beside the results and
    needs no server. Exit code 1: there are no results yet.
    """
    path = _written(resolved(config))
    click.echo(path)
    if shown:
        webbrowser.open(path.absolute().as_uri())


def _written(pipeline: PipelineSpec) -> Path:
    layout, above = Layout(pipeline), pipeline.steps[-1].asset
    if not layout.stem(RESULTS).is_dir():
        manifest = layout.shard(RESULTS).manifest()
        if manifest is not None:
            return write_page(pipeline, layout.shard(above), manifest)
    elif page_path(pipeline, "any").parent.is_dir():
        return write_index(pipeline)
    raise Failed(f"{layout.folder(RESULTS)} holds no results yet: run it first")
