"""Real Dagster runs of a pipeline's assets, in this process."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.factory.partitions import range_tags, shard_key
from dataflow_dagster.io_managers.files import IO_MANAGERS
from dataflow_dagster.schema.pipeline import PipelineSpec


def materialize(
    pipeline: PipelineSpec,
    *,
    instance: dg.DagsterInstance | None = None,
    partition_key: str | None = None,
    shards: Sequence[int] | None = None,
    keys: Sequence[str] = (),
    assets: Sequence[str] | None = None,
    more: Sequence[dg.AssetsDefinition] = (),
    recompute: bool = False,
) -> dg.ExecuteInProcessResult:
    """Materialize a pipeline's assets; a failed run is given back, not raised.

    Args:
        shards: First and last shard of a range that one run takes.
        keys: Partitions of which one run takes the range from the first to the last.
        assets: Only these of the pipeline's; all of `more` besides.
        more: A user's own assets.
    """
    own = PipelineAssets(pipeline).build()
    chosen = [d for d in own if assets is None or d.key.path[-1] in assets]
    if shards is not None and pipeline.shards is not None:
        keys = [shard_key(shard, pipeline.shards) for shard in (shards[0], shards[-1])]
    tags = range_tags(keys) if keys else {}
    options = {"config": {"recompute": recompute}}
    return dg.materialize(
        [*own, *more],
        selection=[d.key for d in [*chosen, *more]],
        instance=instance,
        partition_key=partition_key,
        resources=IO_MANAGERS,
        tags=tags,
        run_config={"ops": {d.op.name: options for d in chosen}},
        raise_on_error=False,
    )


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    """What a failed step says to a person."""
    (event,) = (e for e in result.all_events if e.is_step_failure and e.step_key == step)
    said = event.step_failure_data.user_failure_data
    return str(said.description if said is not None else event.step_failure_data.error)


def told(result: dg.ExecuteInProcessResult, *asset: str) -> dict[str, Any]:
    """The metadata of an asset's newest materialization in a run, as plain values."""
    key = dg.AssetKey(asset)
    found = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: value.value for name, value in found[-1].materialization.metadata.items()}
