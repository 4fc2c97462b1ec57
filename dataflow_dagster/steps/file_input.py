"""A pipeline's input as shards of files."""

from collections.abc import Iterable

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import base_of, find_input
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.shards.catalogue import Catalogue
from dataflow_dagster.shards.files import FileShards, Listing, list_files
from dataflow_dagster.shards.upkeep import look_after
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.steps.overlap import check_input
from dataflow_dagster.steps.progress import Progress, Silent
from dataflow_dagster.steps.raw_meta import namer, reading_of
from dataflow_dagster.stores import mirrors


def catalogue_of(pipeline: PipelineSpec) -> Catalogue:
    """Which files make which shard, as registered so far."""
    return Catalogue(Layout(pipeline).folder(RAW_META))


def file_keys(pipeline: PipelineSpec) -> list[str]:
    """The keys of all shards registered so far, in order."""
    return catalogue_of(pipeline).keys()


def list_input(pipeline: PipelineSpec) -> Listing:
    """The files at ``meta_path``.

    Raises:
        InputError: There are none, or the pipeline would write over one.
    """
    check_input(pipeline, find_input(pipeline.meta_path, pipeline.image_key))
    return list_files(pipeline.meta_path, pipeline.image_key)


def register_files(pipeline: PipelineSpec, names: Iterable[str] | None = None) -> list[str]:
    """Make shards of files that are in none yet; gives the new shards' keys.

    Args:
        pipeline: With its environment resolved.
        names: Only these; None: all at ``meta_path``.
    """
    given = list_input(pipeline).names if names is None else names
    folder = str(base_of(pipeline.meta_path))
    return catalogue_of(pipeline).register(given, pipeline.files_per_shard or 1, folder)


def drop_files(pipeline: PipelineSpec, listing: Listing) -> list[str]:
    """Forget shards that cannot be made any more; gives their keys. See `look_after`."""
    layout = Layout(pipeline)
    there = set(mirrors.names(layout.stem(RAW_META)))
    return look_after(
        layout.folder(RAW_META),
        listing,
        lambda key: layout.shard(RAW_META, key).manifest_path.name in there,
    )


def waiting_files(pipeline: PipelineSpec) -> list[str]:
    """Files that are in no shard yet."""
    try:
        return catalogue_of(pipeline).unknown(list_input(pipeline).names)
    except InputError:  # there are none at all
        return []


def file_shards(pipeline: PipelineSpec, progress: Progress | None = None) -> FileShards:
    """Opens the registered shards; `progress` is told where something is made anew."""
    folder = Layout(pipeline).folder(RAW_META)
    say = (progress or Silent()).say
    return FileShards(reading_of(pipeline), folder, namer(pipeline), say)
