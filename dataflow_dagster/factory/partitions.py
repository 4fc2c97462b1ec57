"""Shards of the input as Dagster's partitions."""

import dagster as dg

from dataflow_dagster.schema.pipeline import PipelineSpec


def partitions_of(pipeline: PipelineSpec) -> dg.PartitionsDefinition[str] | None:
    """``00000-of-00008`` … ``00007-of-00008`` for ``shards: 8``; None: not partitioned.

    A key carries the total, so that another split never looks materialized.
    """
    keys = shard_keys(pipeline)
    return dg.StaticPartitionsDefinition(keys) if keys else None


def shard_keys(pipeline: PipelineSpec) -> list[str]:
    """All partition keys of a pipeline, in order; none: it is not partitioned."""
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


def backfill_policy(pipeline: PipelineSpec) -> dg.BackfillPolicy | None:
    """One run for all shards that are asked for, so that a model loads once; bounded if asked."""
    if pipeline.shards is None:
        return None
    if pipeline.shards_per_run is None:
        return dg.BackfillPolicy.single_run()
    return dg.BackfillPolicy.multi_run(pipeline.shards_per_run)
