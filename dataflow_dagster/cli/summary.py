"""What a run from the shell says when it ends."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.table import Table

from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout

COUNTS = ("dagster/row_count", "computed", "reused", "failed", "skipped", "seconds")


def print_summary(pipeline: PipelineSpec, result: dg.JobExecutionResult) -> None:
    """Rows by asset, and where the results are; or why the run failed."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(pipeline, result))
    for reason in _failures(result):
        console.print(reason, style="red", markup=False)
    if result.success:
        for what, path in _places(pipeline):
            console.print(f"{what}: {path}", markup=False)


def _table(pipeline: PipelineSpec, result: dg.JobExecutionResult) -> Table:
    table = Table("asset", *(name.removeprefix("dagster/") for name in COUNTS))
    for asset in (RAW_META, *(step.asset for step in pipeline.steps), RESULTS):
        shards = _shards(result, dg.AssetKey([pipeline.name, asset]))
        if shards:
            sums = [sum(_number(shard, name) for shard in shards) for name in COUNTS]
            table.add_row(asset, *(f"{value:.10g}" for value in sums))
    return table


def _shards(
    result: dg.JobExecutionResult, asset: dg.AssetKey
) -> list[Mapping[str, dg.MetadataValue[Any]]]:
    """The metadata of each shard the run materialized, the last told of each."""
    told: dict[str | None, Mapping[str, dg.MetadataValue[Any]]] = {}
    for event in result.all_events:
        if event.is_step_materialization and event.asset_key == asset:
            told[event.partition] = event.step_materialization_data.materialization.metadata
    return list(told.values())


def _number(metadata: Mapping[str, dg.MetadataValue[Any]], name: str) -> float:
    value = metadata.get(name)
    return 0 if value is None else value.value


def _failures(result: dg.JobExecutionResult) -> Iterator[str]:
    """Each failed asset's reason, without a call stack where the message says all."""
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        failure = event.step_failure_data
        said = failure.user_failure_data
        if said is not None and said.description:
            yield f"{event.step_key}: {said.description}"
        elif failure.error is not None:
            yield f"{event.step_key}: {failure.error.to_string()}"


def _places(pipeline: PipelineSpec) -> Iterator[tuple[str, Path]]:
    layout = Layout(pipeline)
    sharded = pipeline.shards is not None
    yield "results", layout.stem(RESULTS) if sharded else layout.shard(RESULTS).path
    errors = layout.errors("any").parent if sharded else layout.errors()
    if errors.exists():
        yield "failed rows", errors
