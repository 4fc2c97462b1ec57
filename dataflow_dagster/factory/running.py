"""Running one asset over the partitions of a run, each shard recorded as soon as it is whole."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dataflow_dagster.catalogue import UnknownShardError
from dataflow_dagster.engines.errors import (
    EngineDiedError,
    EngineMemoryError,
    EngineMissingError,
    EngineRefusedError,
    ModelMissingError,
    StalledError,
    UnfitSettingError,
)
from dataflow_dagster.factory.checks import failed_share
from dataflow_dagster.factory.metadata import shard_metadata
from dataflow_dagster.factory.recording import Record, batched_events
from dataflow_dagster.factory.reporting import StepReport
from dataflow_dagster.factory.writers import Done, Job, Writer
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.io_managers.rows import Shards
from dataflow_dagster.resources.gpus import TooFewGpusError
from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.decoders import DecoderError
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.manifest import sum_of
from dataflow_dagster.steps.ownership import ShardBusyError
from dataflow_dagster.steps.part import RowsMismatchError
from dataflow_dagster.steps.shard import BrokenShardError, NothingToRetryError
from dataflow_dagster.steps.shard_run import HopelessStepError

TOLD_PLAINLY = (
    BrokenShardError,
    DecoderError,
    EngineDiedError,
    EngineMemoryError,
    EngineMissingError,
    EngineRefusedError,
    HopelessStepError,
    InputError,
    ModelMissingError,
    NothingToRetryError,
    OSError,
    PipelineError,
    RowsMismatchError,
    ShardBusyError,
    StalledError,
    TooFewGpusError,
    UnfitSettingError,
    UnknownShardError,
)
"""Errors whose message says all a person needs; the run shows it without our call stack."""

WORTH_A_RETRY = (EngineDiedError, OSError, StalledError)
"""Those of them that another try, by a retry policy, may be spared."""


class RunOptions(dg.Config):
    """What a run may be told in the Launchpad.

    Attributes:
        recompute: Answer every row anew although good answers are known.
        retry_failed: Answer only rows that failed, in shards that are done; rows that are new or
            changed in the input wait for a run without it.
    """

    recompute: bool = False
    retry_failed: bool = False


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
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Write the shards of this run, made from `sources`; gives one result.

        Raises:
            dagster.Failure: In place of an error whose message says all.
        """
        report = StepReport(context, self.asset)
        keys = _partition_keys(context)
        record = Record(context) if len(keys) > 1 else None
        done: list[Done] = []
        try:
            for shard in self._written(context, options, sources, report):
                done.append(shard)
                if record is not None:
                    record.add(*shard)
        except TOLD_PLAINLY as error:
            kind = type(error).__name__
            said = f"{kind}: {error}" if isinstance(error, OSError) else str(error)
            raise dg.Failure(
                description=said, allow_retries=isinstance(error, WORTH_A_RETRY)
            ) from None
        report.end()
        try:
            with batched_events():
                yield self._result(context.asset_key, done)
        finally:
            if record is not None:
                record.settle(done)

    def _written(
        self,
        context: dg.AssetExecutionContext,
        options: RunOptions,
        sources: Shards,
        report: StepReport,
    ) -> Iterator[Done]:
        ready = self.pipeline.with_environment(os.environ)
        job = Job(
            pipeline=ready,
            io_manager=getattr(context.resources, self.io_manager),
            stem=Layout(ready).stem(self.asset),
            sources=sources,
            recompute=options.recompute,
            retry_failed=options.retry_failed,
            report=report,
        )
        with self.writer(job) as write:
            for key in _partition_keys(context):
                yield write(key)

    def _result(self, asset: dg.AssetKey, done: list[Done]) -> dg.MaterializeResult[Any]:
        tally = sum_of(manifest.tally for _, manifest in done)
        checks = [failed_share(asset, tally, self.pipeline.max_failed)] if self.checked else []
        if len(done) > 1:
            versions = fingerprint([manifest.data_version for _, manifest in done])
            return dg.MaterializeResult(data_version=dg.DataVersion(versions), check_results=checks)
        ((shard, manifest),) = done
        return dg.MaterializeResult(
            metadata=shard_metadata(shard, manifest),
            data_version=dg.DataVersion(manifest.data_version),
            check_results=checks,
        )


def _partition_keys(context: dg.AssetExecutionContext) -> Sequence[str | None]:
    partitioned = context.assets_def.partitions_def is not None
    return sorted(context.partition_keys) if partitioned else [None]
