"""`clean`: remove what earlier runs left and no current step can use."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

from dataflow_dagster.cli.opening import Failed, Refused, config_option, resolved
from dataflow_dagster.engines.errors import EngineMissingError
from dataflow_dagster.factory.partitions import shard_keys
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.ledger.shard import BrokenShardError, Shard, source_version
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.file_input import file_shards
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.leftovers import Leftovers, bring_rows
from dataflow_dagster.steps.raw_meta import input_index, raw_meta_fingerprint
from dataflow_dagster.steps.results import results_fingerprint
from dataflow_dagster.steps.saved_leftovers import Current, Leftover
from dataflow_dagster.stores import mirrors
from dataflow_dagster.stores.store import StoreError


@click.command(short_help="Remove what no current step can use.")
@config_option
@click.option("--yes", is_flag=True, help="Remove without asking.")
def clean(config: Path, yes: bool) -> None:
    """Show, then remove, what earlier runs left and no step of this YAML can use.

    Shards of another split, format or prompt, what killed runs left, pictures that no row names,
    lists of errors and pages of another split, folders of steps that are gone. What a run could
    still take an answer from stays; so does all that was not made for this pipeline, as the notes
    beside it tell, and what a run is writing now. Exit code 2: the YAML is wrong, or its input
    cannot be read.
    """
    pipeline = resolved(config)
    try:
        bring_rows(pipeline)
        leftovers = Leftovers(pipeline, list(_current(pipeline)))
        found = list(leftovers.find())
    except (EngineMissingError, InputError) as error:
        raise Refused(str(error)) from error
    except StoreError as error:
        raise Failed(str(error)) from error
    for leftover in found:
        click.echo(f"{leftover.size:>14,}  {mirrors.address(leftover.path)}  ({leftover.why})")
    for folder, why in leftovers.left_alone:
        click.echo(f"left alone: {mirrors.address(folder)} ({why})")
    total = sum(leftover.size for leftover in found)
    click.echo(f"{total:>14,}  bytes in {len(found):,} files")
    if found and (yes or click.confirm("Remove them?")):
        _remove(found)


def _remove(found: list[Leftover]) -> None:
    """The files, and folders that are empty then."""
    for mirror, group in groupby(found, lambda leftover: mirrors.mirror_of(leftover.path)):
        paths = [leftover.path for leftover in group]
        if mirror is None:
            mirrors.remove(*paths)
        else:
            mirror.delete(paths)
    folders = {parent for leftover in found for parent in leftover.path.parents}
    for folder in sorted(folders, key=lambda path: -len(path.parts)):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    click.echo(f"removed {len(found):,} files")


def _current(pipeline: PipelineSpec) -> Iterator[Current]:
    layout, keys = Layout(pipeline), shard_keys(pipeline) or [None]
    shards = {
        asset: tuple(layout.shard(asset, key) for key in keys)
        for asset in (RAW_META, *(step.asset for step in pipeline.steps), RESULTS)
    }
    made = raw_meta_fingerprint(pipeline)
    sources = zip(shards[RAW_META], _sources(pipeline, keys), strict=True)
    whole = all(_is_made(shard, made, source) for shard, source in sources)
    yield Current(RAW_META, shards[RAW_META], whole)
    above = shards[RAW_META]
    for step in pipeline.steps:
        with StepRun(pipeline, step) as run:
            own = shards[step.asset]
            whole = whole and _are_made(own, run.shard_fingerprint, above)
            yield Current(step.asset, own, whole, run.fingerprint)
            above = own
    whole = whole and _are_made(shards[RESULTS], results_fingerprint(pipeline), above)
    yield Current(RESULTS, shards[RESULTS], whole)


def _sources(pipeline: PipelineSpec, keys: Sequence[str | None]) -> Iterator[str]:
    """What each shard of raw_meta is to be made from."""
    if pipeline.files_per_shard is None:
        yield from [input_index(pipeline).signature] * len(keys)
        return
    with file_shards(pipeline) as files:
        files.read(key for key in keys if key is not None)
        yield from ("" if key is None else files.index(key).signature for key in keys)


def _are_made(own: tuple[Shard, ...], made: str, above: tuple[Shard, ...]) -> bool:
    try:
        pairs = zip(own, above, strict=True)
        return all(_is_made(shard, made, source_version(source)) for shard, source in pairs)
    except BrokenShardError:
        return False


def _is_made(shard: Shard, made: str, source: str) -> bool:
    """Whether it is whole, of today's settings, and made from `source`."""
    manifest = shard.manifest()
    if manifest is None or manifest.fingerprint != made:
        return False
    return manifest.source.startswith(source)
