"""What a run from the shell says when it ends."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import click
import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster_shared.error import SerializableErrorInfo

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import nothing_in
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.first_rows import first_rows, missing_columns
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.stores import mirrors
from dataflow_dagster.stores.store import StoreError

COUNTS = ("dagster/row_count", "computed", "reused", "failed", "skipped", "seconds")

Metadata = Mapping[str, dg.MetadataValue[Any]]


def print_summary(pipeline: PipelineSpec, results: Sequence[dg.JobExecutionResult]) -> None:
    """Rows by asset, and where the results are; why the run failed goes to standard error."""
    assets = [RAW_META, *(step.asset for step in pipeline.steps), RESULTS]
    shards = {asset: _shards(results, dg.AssetKey([pipeline.name, asset])) for asset in assets}
    for line in _table(shards):
        click.echo(line)
    for warning in _losses(pipeline, shards):
        click.secho(warning, fg="red", err=True)
    for result in results:
        for reason in failures(result):
            click.secho(reason, fg="red", err=True)
    with suppress(StoreError):  # why, the run said
        for what, path in _places(pipeline):
            click.echo(f"{what}: {path}")


def failures(result: dg.JobExecutionResult) -> Iterator[str]:
    """Each failed asset's reason, without a call stack where the message says all."""
    events = result.all_events
    for event in events:
        if event.is_step_failure:
            asset = str(event.step_key).split("__", 1)[-1]
            yield f"{asset} {_reason(event, events)}"
    if not any(event.is_step_failure for event in events):
        yield from (f"the run failed: {_run_reason(e)}" for e in events if e.is_run_failure)


def _reason(event: dg.DagsterEvent, others: Sequence[dg.DagsterEvent]) -> str:
    said = event.step_failure_data.user_failure_data
    error = event.step_failure_data.error
    if said is not None and said.description:
        return f"failed: {said.description}"
    if error is None:
        return "failed"
    if _is_a(error, dg.DagsterExecutionInterruptedError):
        return "was interrupted: what is done is kept, run it again to go on"
    if _is_a(error, DagsterAssetCheckFailedError):
        checks = [other for other in others if other.step_key == event.step_key]
        return f"failed: {'; '.join(_blocking(checks))}"
    return f"failed: {error.to_string()}"


def _run_reason(event: dg.DagsterEvent) -> str:
    """Why a run failed of which no step did: Dagster itself could not go on."""
    error = event.job_failure_data.error
    return str(event.message) if error is None else error.to_string()


def _blocking(events: Sequence[dg.DagsterEvent]) -> Iterator[str]:
    """What the checks say that stopped a step."""
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if check.blocking and not check.passed:
                yield check.description or check.check_name


def _is_a(error: SerializableErrorInfo, kind: type[BaseException]) -> bool:
    """Whether an error, or one that it wraps, was of that class in the step's process."""
    return error.cls_name == kind.__name__ or (error.cause is not None and _is_a(error.cause, kind))


def _table(shards: Mapping[str, Sequence[Metadata]]) -> Iterator[str]:
    """Lines of a table; names of assets are never cut, however narrow the terminal."""
    heads = [name.removeprefix("dagster/") for name in COUNTS]
    widest = max(map(len, shards))
    yield " ".join([f"{'asset':<{widest}}", *(f"{head:>9}" for head in heads)])
    for asset, of in shards.items():
        if of:
            sums = [sum(_number(shard, name) for shard in of) for name in COUNTS]
            yield " ".join([f"{asset:<{widest}}", *(f"{value:>9.10g}" for value in sums)])


def _shards(results: Sequence[dg.JobExecutionResult], asset: dg.AssetKey) -> list[Metadata]:
    """The metadata of each shard the runs materialized, the last told of each."""
    told: dict[str | None, Metadata] = {}
    for event in (event for result in results for event in result.all_events):
        if event.is_step_materialization and event.asset_key == asset:
            told[event.partition] = event.step_materialization_data.materialization.metadata
    return list(told.values())


def _losses(pipeline: PipelineSpec, shards: Mapping[str, Sequence[Metadata]]) -> Iterator[str]:
    """Said where no row came through: the run itself is no failure, its data is."""
    results = shards[RESULTS]
    rows = sum(_number(shard, "dagster/row_count") for shard in results)
    failed = sum(_number(shard, "failed_before") for shard in results)
    if results and not rows:
        yield f"NO ROWS: {nothing_in(_ready(pipeline).meta_path)}"
    elif results and failed == rows:
        yield f"NO ROW HAS A RESULT: all {rows:.10g} rows failed"
    for step in pipeline.steps:
        total, skipped = (
            sum(_number(shard, name) for shard in shards[step.asset])
            for name in ("dagster/row_count", "skipped")
        )
        if skipped and skipped == total:
            yield f"NO ROW WAS ANSWERED: {step.asset} skipped all {total:.10g} rows"
            yield from _why_skipped(_ready(pipeline))
            return


def _why_skipped(pipeline: PipelineSpec) -> Iterator[str]:
    with suppress(InputError, OSError):
        yield from missing_columns(pipeline, first_rows(pipeline))


def _ready(pipeline: PipelineSpec) -> PipelineSpec:
    """With its environment's values, which a run that came to an end had."""
    unset = pipeline.unset_variables(os.environ)
    return pipeline if unset else pipeline.with_environment(os.environ)


def _number(metadata: Metadata, name: str) -> float:
    value = metadata.get(name)
    return 0 if value is None else value.value


def _places(pipeline: PipelineSpec) -> Iterator[tuple[str, str]]:
    """Results and failed rows, of this run or of an earlier one, if there are any."""
    if pipeline.unset_variables(os.environ):
        return
    layout = Layout(pipeline.with_environment(os.environ))
    mirrors.forget()
    results, failed = layout.shard(RESULTS).path, layout.errors()
    if pipeline.is_sharded:
        results, failed = layout.stem(RESULTS), layout.errors("any").parent
    for what, path in (("results", results), ("failed rows", failed)):
        if any(map(_is_rows, mirrors.names(path))) if pipeline.is_sharded else mirrors.exists(path):
            yield what, mirrors.address(path)


def _is_rows(name: str) -> bool:
    return name.endswith((".jsonl", ".parquet"))
