"""The partitions of a run, each durable as soon as it is whole: a run that dies keeps them."""

from typing import Any, Final

import dagster as dg
from dagster._core.definitions.source_asset import (
    SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION as TOLD_ALREADY,
)

from dataflow_dagster.factory.metadata import Story
from dataflow_dagster.ledger.manifest import Manifest
from dataflow_dagster.ledger.shard import Shard

TOLD: Final[dict[str, Any]] = {TOLD_ALREADY: True}
"""Metadata of a result whose partitions `Record` has told of: Dagster writes no event of its own.

As a run of several partitions ends, Dagster would write one more for each, with one data version
for all, so that equal rows would look changed. It leaves out those of a result marked as told
(``_log_materialization_or_observation_events_for_asset`` of its ``execute_step``).
"""


class Record:
    """Makes each finished partition of one asset durable at once, with its own versions.

    A run of one partition has no need of it: its end is when that partition is done.

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


def _newest_event(context: dg.AssetExecutionContext, asset: dg.AssetKey) -> str:
    """The storage id of an asset's newest materialization, ``NULL`` (so Dagster) without one."""
    records = context.instance.fetch_materializations(asset, limit=1).records
    return str(records[0].storage_id) if records else "NULL"
