"""Shards of the input as Dagster's partitions."""

import os
from collections.abc import Iterator, Sequence

import dagster as dg

from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.file_input import (
    drop_files,
    file_keys,
    list_input,
    register_files,
)

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def partitions_of(pipeline: PipelineSpec) -> dg.PartitionsDefinition[str] | None:
    """``00000-of-00008`` … ``00007-of-00008`` for ``shards: 8``; None: not partitioned.

    A key carries the total, so that another split never looks materialized. With
    ``files_per_shard`` partitions come with the files: ``00003-part-0003``.
    """
    if pipeline.files_per_shard is not None:
        return dg.DynamicPartitionsDefinition(name=files_of(pipeline))
    return dg.StaticPartitionsDefinition(shard_keys(pipeline)) if pipeline.shards else None


def files_of(pipeline: PipelineSpec) -> str:
    """The name that Dagster knows a pipeline's shards of files by."""
    return f"{pipeline.name}_files"


def shard_keys(pipeline: PipelineSpec) -> list[str]:
    """All partition keys of a pipeline, in order; none: it is not partitioned."""
    if pipeline.files_per_shard is not None:
        return file_keys(pipeline.with_environment(os.environ))
    parts = pipeline.shards or 0
    return [shard_key(part, parts) for part in range(parts)]


def shard_key(part: int, parts: int) -> str:
    """The partition key of shard `part` (from 0) of `parts`."""
    return f"{part:05d}-of-{parts:05d}"


def place_of(key: str | None) -> tuple[int, int]:
    """The (part, parts) of a partition key; all of the input where there is none."""
    if key is None:
        return 0, 1
    part, parts = key.split("-of-")
    return int(part), int(parts)


def register_shards(pipeline: PipelineSpec, instance: dg.DagsterInstance) -> list[str]:
    """Make shards of files that are in none yet, and partitions of all shards; gives the new.

    Shards that were never made and whose files are gone are dropped.

    Raises:
        PipelineError: A variable of the YAML is not set.
        InputError: Nothing is at ``meta_path``.
    """
    ready = pipeline.with_environment(os.environ)
    listing = list_input(ready)
    drop_files(ready, listing)
    new = register_files(ready, listing.names)
    add_partitions(pipeline, instance)
    return new


def add_partitions(pipeline: PipelineSpec, instance: dg.DagsterInstance) -> None:
    """Let an instance know all shards of files, and no others; it may not have made them."""
    known = instance.get_dynamic_partitions(files_of(pipeline))
    keys = shard_keys(pipeline)
    wanted = set(keys)
    kept = [key for key in known if key in wanted]
    if kept != keys[: len(kept)]:  # a range goes by the order in which they were added
        kept = []
    for stale in set(known).difference(kept):
        instance.delete_dynamic_partition(files_of(pipeline), stale)
    missing = keys[len(kept) :]
    if missing:
        instance.add_dynamic_partitions(files_of(pipeline), missing)


def backfill_policy(pipeline: PipelineSpec) -> dg.BackfillPolicy | None:
    """One run for all shards that are asked for, so that a model loads once; bounded if asked."""
    if not pipeline.is_sharded:
        return None
    if pipeline.shards_per_run is None:
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(pipeline.shards_per_run)


def stretches(
    pipeline: PipelineSpec, wanted: Sequence[str], keys: Sequence[str]
) -> Iterator[Sequence[str]]:
    """What each run takes of the `wanted` shards: neighbours, as many as a run may take.

    Args:
        pipeline: Says how many shards a run takes.
        wanted: Some of `keys`.
        keys: All shards, in order.
    """
    places = {key: place for place, key in enumerate(keys)}
    most = pipeline.shards_per_run or len(keys)
    held: list[int] = []
    for place in sorted(places[key] for key in wanted):
        if held and (place != held[-1] + 1 or len(held) == most):
            yield [keys[at] for at in held]
            held = []
        held.append(place)
    if held:
        yield [keys[at] for at in held]


def range_tags(stretch: Sequence[str]) -> dict[str, str]:
    """The tags by which one run takes these neighbouring shards."""
    return {RANGE_START: stretch[0], RANGE_END: stretch[-1]}
