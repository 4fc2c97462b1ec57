"""Finished partitions of a run that is not over yet: a run that dies later keeps them."""

import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Final

import dagster as dg

from dataflow_dagster.factory.metadata import Story
from dataflow_dagster.ledger.manifest import Manifest
from dataflow_dagster.ledger.shard import Shard

EVENT_BATCH_SIZE: Final = "DAGSTER_EVENT_BATCH_SIZE"


class Record:
    """Makes each finished partition of one asset durable at once, as Dagster would at the end.

    A run of one partition has no need of it: its end is when that partition is done.

    As a run of several ends, Dagster writes an event of its own for each, with one data version
    for all (``_get_output_asset_events`` of its ``execute_step``). `settle` therefore says once
    more which version each partition has: a partition whose rows are as they were is never told
    to have changed.

    Args:
        context: Of a step that has not begun yet: what lies above is as the step will read it.
        story: Tells what is shown of each partition.
    """

    def __init__(self, context: dg.AssetExecutionContext, story: Story) -> None:
        self._context = context
        self._story = story
        spec = context.assets_def.get_asset_spec(context.asset_key)
        self._code_version = spec.code_version or ""
        self._above = {dep.asset_key: _newest_event(context, dep.asset_key) for dep in spec.deps}

    def add(self, shard: Shard, manifest: Manifest) -> None:
        """Record one partition, with the versions of what it was made from."""
        self._context.log_event(
            dg.AssetMaterialization(
                self._context.asset_key,
                partition=shard.key,
                metadata=self._story.of(shard, manifest),
                tags=self._tags(manifest),
            )
        )

    def settle(self, done: Iterable[tuple[Shard, Manifest]]) -> None:
        """Record all partitions again, after Dagster's own events."""
        for shard, manifest in done:
            self.add(shard, manifest)

    def _tags(self, manifest: Manifest) -> dict[str, str]:
        """What Dagster tells staleness by: without the inputs' tags, each input counts as new."""
        tags = {
            "dagster/code_version": self._code_version,
            "dagster/data_version": manifest.data_version,
            "dagster/data_version_is_user_provided": "true",
        }
        for key, event in self._above.items():
            name = key.to_user_string()
            tags[f"dagster/input_data_version/{name}"] = manifest.source
            tags[f"dagster/input_event_pointer/{name}"] = event
        return tags


@contextmanager
def batched_events() -> Generator[None]:
    """Dagster's events of a step's end, one a partition, are written many at a time.

    Only those: what `Record` says while a step is at work is written at once. A size that the user
    has set is left alone.
    """
    before = os.environ.get(EVENT_BATCH_SIZE)
    os.environ.setdefault(EVENT_BATCH_SIZE, "100")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(EVENT_BATCH_SIZE, None)


def _newest_event(context: dg.AssetExecutionContext, asset: dg.AssetKey) -> str:
    """The storage id of an asset's newest materialization, ``NULL`` (so Dagster) without one."""
    records = context.instance.fetch_materializations(asset, limit=1).records
    return str(records[0].storage_id) if records else "NULL"
