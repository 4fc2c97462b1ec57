"""Running one asset over the partitions of a run, each shard recorded as soon as it is whole."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dataflow_dagster.decoding.decoders import DecoderError
from dataflow_dagster.engines.errors import (
    EngineDiedError,
    EngineMemoryError,
    EngineMissingError,
    EngineRefusedError,
    ModelMissingError,
    StalledError,
    UnfitSettingError,
)
from dataflow_dagster.factory.checks import AssetChecks
from dataflow_dagster.factory.liveness import note_process
from dataflow_dagster.factory.metadata import Story
from dataflow_dagster.factory.missed import Missed
from dataflow_dagster.factory.recording import TOLD, Record
from dataflow_dagster.factory.reporting import StepReport
from dataflow_dagster.factory.writers import Done, Job, Writer, WriteShard
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.io_managers.rows import Shards
from dataflow_dagster.ledger.ownership import ShardBusyError
from dataflow_dagster.ledger.part import RowsMismatchError
from dataflow_dagster.ledger.shard import BrokenShardError, NothingToRetryError
from dataflow_dagster.resources.gpus import UnfitGpusError
from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.shards.catalogue import UnknownShardError
from dataflow_dagster.steps.folders import UnwritableFolderError, check_folder
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.shard_run import HopelessStepError
from dataflow_dagster.stores import mirrors

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
    UnfitGpusError,
    UnfitSettingError,
    UnknownShardError,
    UnwritableFolderError,
)
"""Errors whose message says all a person needs; the run shows it without our call stack."""

WORTH_A_RETRY = (EngineDiedError, OSError, ShardBusyError, StalledError)
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
    """

    pipeline: PipelineSpec
    asset: str
    io_manager: str
    writer: Writer

    def run(
        self, context: dg.AssetExecutionContext, options: RunOptions, sources: Shards
    ) -> Iterator[dg.MaterializeResult[Any]]:
        """Write the shards of this run, made from `sources`; gives one result.

        Raises:
            dagster.Failure: In place of an error whose message says all.
        """
        note_process(context)
        report = StepReport(context, self.asset)
        try:
            ready = self.pipeline.with_environment(os.environ)
            _check_folders(ready, self.asset)
            story = Story(ready, AssetChecks(context.asset_key, ready, self.asset), sources)
            job = self._job(context, ready, options, sources, report)
            record = Record(context, story) if len(job.keys) > 1 else None
            missed = Missed(job, self.asset)
            with report.watched(), self.writer(job) as write:
                done = list(_written(job, write, record, missed))
            result = _result(story, done, several=record is not None) if done else None
        except TOLD_PLAINLY as error:
            kind = type(error).__name__
            said = f"{kind}: {error}" if isinstance(error, OSError) else str(error)
            raise dg.Failure(
                description=said, allow_retries=isinstance(error, WORTH_A_RETRY)
            ) from None
        report.end()
        if result is not None:
            yield result
        failure = missed.failure(len(done))
        if failure is not None:
            raise failure

    def _job(
        self,
        context: dg.AssetExecutionContext,
        ready: PipelineSpec,
        options: RunOptions,
        sources: Shards,
        report: StepReport,
    ) -> Job:
        return Job(
            pipeline=ready,
            io_manager=getattr(context.resources, self.io_manager),
            stem=Layout(ready).stem(self.asset),
            keys=_partition_keys(context),
            sources=sources,
            recompute=options.recompute,
            retry_failed=options.retry_failed,
            report=report,
            is_retry=context.retry_number > 0,
        )


def _written(job: Job, write: WriteShard, record: Record | None, missed: Missed) -> Iterator[Done]:
    """Each shard as it is done; one that cannot be read costs no other."""
    for key in job.keys:
        if missed.passes_by(key):
            continue
        try:
            done = write(key)
        except InputError as error:
            missed.note(key, error)
            continue
        missed.made(key)
        if record is not None:
            record.add(*done)
        yield done


def _result(story: Story, done: list[Done], *, several: bool) -> dg.MaterializeResult[Any]:
    """One result for all; of `several` shards `Record` has told what each of them is."""
    verdicts = story.verdicts(done)
    if several:
        versions = fingerprint([manifest.data_version for _, manifest in done])
        return dg.MaterializeResult(
            metadata=TOLD, data_version=dg.DataVersion(versions), check_results=verdicts
        )
    ((shard, manifest),) = done
    return dg.MaterializeResult(
        metadata=story.of(shard, manifest),
        data_version=dg.DataVersion(manifest.data_version),
        check_results=verdicts,
    )


def _check_folders(pipeline: PipelineSpec, asset: str) -> None:
    """Hold that what is to be written can be; the first step asks for what the last one writes.

    Raises:
        UnwritableFolderError: It cannot, and why.
        StoreError: The same of a folder in a store.
    """
    mirrors.forget()
    if asset != RESULTS:
        check_folder(pipeline, "base_folder")
    if asset in (RAW_META, RESULTS):
        check_folder(pipeline, "save_folder")


def _partition_keys(context: dg.AssetExecutionContext) -> Sequence[str | None]:
    partitioned = context.assets_def.partitions_def is not None
    return sorted(context.partition_keys) if partitioned else [None]
