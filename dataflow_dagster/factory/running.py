"""Running one asset over the partitions of a run, each shard recorded as soon as it is whole."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster.factory.checks import failed_share
from dataflow_dagster.factory.metadata import shard_metadata
from dataflow_dagster.factory.reporting import StepReport
from dataflow_dagster.factory.writers import Done, Job, Writer
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.io_managers.rows import Shards
from dataflow_dagster.resources.gpus import TooFewGpusError
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.manifest import Manifest, sum_of
from dataflow_dagster.steps.part import ShardBusyError
from dataflow_dagster.steps.shard import BrokenShardError, Shard
from dataflow_dagster.steps.shard_run import HopelessStepError

TOLD_PLAINLY = (
    BrokenShardError,
    EngineMissingError,
    HopelessStepError,
    InputError,
    OSError,
    PipelineError,
    ShardBusyError,
    TooFewGpusError,
    UnfitSettingError,
)
"""Errors whose message says all a person needs; the run shows it without our call stack."""


class RunOptions(dg.Config):
    """What a run may be told in the Launchpad.

    Attributes:
        recompute: Answer every row anew although good answers are known.
    """

    recompute: bool = False


@dataclass(frozen=True, slots=True)
class Materialization:
    """What happens when one asset is materialized: its shards are written and recorded.

    Attributes:
        pipeline: As loaded; its environment is resolved when it runs.
        asset: The asset's name.
        io_manager: Resource key of the asset's IO manager.
        writer: Makes its shards.
        checked: It has the check ``failed_share``.
    """

    pipeline: PipelineSpec
    asset: str
    io_manager: str
    writer: Writer
    checked: bool

    def run(
        self, context: dg.AssetExecutionContext, options: RunOptions, sources: Shards
    ) -> dg.MaterializeResult[Any]:
        """Write the shards of this run, made from `sources`.

        Raises:
            dagster.Failure: In place of an error whose message says all.
        """
        report = StepReport(context, self.asset)
        try:
            return self._written(context, options, sources, report)
        except TOLD_PLAINLY as error:
            kind = type(error).__name__
            said = f"{kind}: {error}" if isinstance(error, OSError) else str(error)
            raise dg.Failure(description=said, allow_retries=isinstance(error, OSError)) from None

    def _written(
        self,
        context: dg.AssetExecutionContext,
        options: RunOptions,
        sources: Shards,
        report: StepReport,
    ) -> dg.MaterializeResult[Any]:
        ready = self.pipeline.with_environment(os.environ)
        job = Job(
            pipeline=ready,
            io_manager=getattr(context.resources, self.io_manager),
            stem=Layout(ready).stem(self.asset),
            sources=sources,
            recompute=options.recompute,
            report=report,
        )
        done: list[Done] = []
        with self.writer(job) as write:
            for key in _partition_keys(context):
                done.append(write(key))
                if key is not None:
                    _record(context, *done[-1])
        report.end()
        return self._result(context.asset_key, done)

    def _result(self, asset: dg.AssetKey, done: list[Done]) -> dg.MaterializeResult[Any]:
        tally = sum_of(manifest.tally for _, manifest in done)
        checks = [failed_share(asset, tally, self.pipeline.max_failed)] if self.checked else []
        shard, manifest = done[0]
        if shard.key is not None:
            return dg.MaterializeResult(check_results=checks)
        return dg.MaterializeResult(
            metadata=shard_metadata(shard, manifest),
            data_version=dg.DataVersion(manifest.data_version),
            check_results=checks,
        )


def _partition_keys(context: dg.AssetExecutionContext) -> Sequence[str | None]:
    partitioned = context.assets_def.partitions_def is not None
    return sorted(context.partition_keys) if partitioned else [None]


def _record(context: dg.AssetExecutionContext, shard: Shard, manifest: Manifest) -> None:
    """Make one finished partition durable now: a run that dies later keeps it."""
    metadata = shard_metadata(shard, manifest)
    spec = context.assets_def.get_asset_spec(context.asset_key)
    context.log_event(
        dg.AssetMaterialization(
            context.asset_key,
            partition=shard.key,
            metadata=metadata,
            tags={
                "dagster/code_version": spec.code_version or "",
                "dagster/data_version": manifest.data_version,
            },
        )
    )
    context.add_asset_metadata(metadata, partition_key=shard.key)
