"""`export`: results into what trainers read."""

import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dataflow_dagster.cli.opening import Failed, config_option, resolved
from dataflow_dagster.export import exporting
from dataflow_dagster.export.request import MIB, ExportError, ExportRequest, Kind, Which
from dataflow_dagster.factory.partitions import shard_keys


@click.command(short_help="Write results as what trainers read.")
@config_option
@click.option(
    "--to",
    "kind",
    required=True,
    type=click.Choice(get_args(Kind)),
    help="webdataset: tar files; hf: a folder that `load_dataset` reads; parquet: plain tables.",
)
@click.option(
    "--which",
    default="newest",
    show_default=True,
    type=click.Choice(get_args(Which)),
    help="Pictures and videos: as results show them, as you gave them, both, or none.",
)
@click.option("--columns", help="Only these columns, separated by commas.")
@click.option(
    "--failed",
    default="leave-out",
    show_default=True,
    type=click.Choice(["leave-out", "keep"]),
    help="Rows that failed.",
)
@click.option(
    "--pictures",
    default="paths",
    show_default=True,
    type=click.Choice(["paths", "bytes"]),
    help="parquet: each file's absolute path, or its bytes in a column of their own.",
)
@click.option(
    "--rows-per-file",
    default=10_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="At most.",
)
@click.option(
    "--mib-per-file",
    default=1024,
    show_default=True,
    type=click.IntRange(min=1),
    help="A file ends when it has reached this size.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export at DEST.")
@click.argument("dest")
def export(
    config: Path,
    kind: Kind,
    which: Which,
    columns: str | None,
    failed: str,
    pictures: str,
    rows_per_file: int,
    mib_per_file: int,
    overwrite: bool,
    dest: str,
) -> None:
    """Write a pipeline's results to DEST, a folder or s3://..., as what trainers read.

    All shards are joined. Rows carry their id as `dataflow_id`. DEST is whole, or not there.
    Exit code 0: done; 1: nothing was exported; 2: the YAML is wrong.

    \b
    Examples:
      dataflow-dagster export -c cats.yaml --to webdataset exports/cats
      dataflow-dagster export -c cats.yaml --to hf --columns image,text exports/cats_hf
      dataflow-dagster export -c cats.yaml --to parquet --which both s3://bucket/cats
    """  # noqa: D301  # click takes \b as the character it means
    pipeline = resolved(config)
    request = ExportRequest(
        kind=kind,
        which=which,
        failed=failed == "keep",
        columns=None if columns is None else tuple(name.strip() for name in columns.split(",")),
        embed=pictures == "bytes",
        rows_per_file=rows_per_file,
        bytes_per_file=mib_per_file * MIB,
        overwrite=overwrite,
    )
    try:
        with _bar() as progress:
            keys = shard_keys(pipeline) or [None]
            done = exporting.export(pipeline, keys, request, dest, progress)
    except (ExportError, OSError) as error:
        raise Failed(f"nothing was exported: {error}") from error
    for line in _summary(dest, done):
        click.echo(line)


def _summary(dest: str, done: exporting.Exported) -> Iterator[str]:
    files = "1 file" if len(done.files) == 1 else f"{len(done.files):,} files"
    yield f"{dest}: {done.rows:,} rows in {files}"
    yield f"columns: {', '.join(done.columns)}"
    if done.left_out:
        yield f"left out: {done.left_out:,} rows that failed (--failed keep takes them along)"
    if done.without_media:
        yield f"without a picture or video: {done.without_media:,} rows"


@contextmanager
def _bar() -> Generator[Callable[[int, int], None]]:
    """A bar on standard error, which a terminal alone gets to see."""
    columns = (TextColumn("exporting"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("exporting", total=None)

        def show(done: int, of: int) -> None:
            if done % 64 == 0 or done == of:
                bar.update(task, completed=done, total=of)

        yield show
