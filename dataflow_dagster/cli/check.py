"""`check`: whether a pipeline can run, without running it."""

from collections.abc import Iterator
from pathlib import Path

import click

from dataflow_dagster.cli.opening import Refused, config_option, resolved
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import find_input, nothing_in
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.first_rows import FirstRows, first_rows, missing_columns
from dataflow_dagster.steps.folders import UnwritableFolderError, check_folder
from dataflow_dagster.steps.layout import RAW_META, RESULTS, meta_folder
from dataflow_dagster.steps.outlook import unused_id
from dataflow_dagster.steps.overlap import check_input
from dataflow_dagster.steps.raw_meta import source_media
from dataflow_dagster.stores.store import StoreError


@click.command(short_help="Check one pipeline; run nothing.")
@config_option
def check(config: Path) -> None:
    """Check one pipeline's YAML, its environment, its folders and its input; run nothing.

    Of the input the first rows are read: whether they can be, and whether they have the columns
    that steps read. Exit code 0: it can run; 2: it cannot, and every reason is told.
    """
    ready = resolved(config)
    assets = [RAW_META, *(step.asset for step in ready.steps), RESULTS]
    reasons = [*_unfit_folders(ready), *_unfit_input(ready)]
    if reasons:
        raise Refused("\n".join(reasons))
    files = len(find_input(ready.meta_path, ready.image_key).files)
    click.echo(f"{config}: ok: {files} file(s) at {ready.meta_path}: {' → '.join(assets)}")


def _unfit_folders(pipeline: PipelineSpec) -> Iterator[str]:
    for key in ("base_folder", "save_folder"):
        try:
            check_folder(pipeline, key)
        except (UnwritableFolderError, StoreError) as error:
            yield str(error)
    folder = meta_folder(pipeline)
    wanted = pipeline.meta_folder is not None and source_media(pipeline) - {"text"}
    if wanted and isinstance(folder, Path) and not folder.is_dir():
        yield f"meta_folder: {folder}: {'is a file' if folder.exists() else 'no such folder'}"


def _unfit_input(pipeline: PipelineSpec) -> Iterator[str]:
    try:
        check_input(pipeline, find_input(pipeline.meta_path, pipeline.image_key))
        first = first_rows(pipeline)
    except InputError as error:
        yield str(error)
        return
    if first.errors and not first.rows:
        yield f"no row can be read: {first.errors[0].message}"
    for warning in _oddities(pipeline, first):
        click.echo(f"warning: {warning}", err=True)
    if first.whole:
        yield from (f"{pipeline.meta_path}: {said}" for said in missing_columns(pipeline, first))


def _oddities(pipeline: PipelineSpec, first: FirstRows) -> Iterator[str]:
    """What may yet turn out well: an input without rows may get some."""
    rows, errors = len(first.rows), first.errors
    if not rows and not errors:
        yield nothing_in(pipeline.meta_path)
    if rows and errors:
        said = f"{len(errors)} of the first {rows + len(errors)} rows cannot be read"
        yield f"{said}, the first of them: {errors[0].message}"
    if pipeline.id_key is None:
        yield from list(filter(None, map(unused_id, first.rows)))[:1]
    if not first.whole:
        yield from (f"{pipeline.meta_path}: {said}" for said in missing_columns(pipeline, first))
