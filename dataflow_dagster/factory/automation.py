"""When a pipeline runs by itself: its schedule, and what Dagster's automation goes by."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,  # what define_asset_job gives has no public name
)

from dataflow_dagster.factory.keys import asset_key, selection_of
from dataflow_dagster.factory.liveness import runs_at_work
from dataflow_dagster.factory.partitions import (
    RANGE_START,
    range_tags,
    register_shards,
    shard_keys,
    stretches,
)
from dataflow_dagster.factory.versions import code_versions
from dataflow_dagster.schema.pipeline import OnCron, PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS

_PAGE: Final = 1000


def condition_of(pipeline: PipelineSpec) -> "dg.AutomationCondition[Any] | None":
    """What every asset of the pipeline is materialized by; None: nothing was said."""
    match pipeline.automation:
        case None:
            return None
        case OnCron(on_cron=cron):
            return dg.AutomationCondition.on_cron(cron, pipeline.timezone or "UTC")
        case _:
            return dg.AutomationCondition.eager()


def automation_sensor(pipeline: PipelineSpec) -> dg.AutomationConditionSensorDefinition:
    """``<name>_automation``: looks at the pipeline's conditions; on, since the YAML asks for it."""
    return dg.AutomationConditionSensorDefinition(
        f"{pipeline.name}_automation",
        target=selection_of(pipeline),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def schedule_of(pipeline: PipelineSpec, job: AssetJob) -> dg.ScheduleDefinition:
    """``<name>_schedule``: all rows, or new files and those whose shard is not done as YAML says.

    Shards that are done already are told from their manifest, and cost next to nothing. While
    another run is at work on the pipeline none is begun: it would be on the same shards.
    """

    @dg.schedule(
        name=f"{pipeline.name}_schedule",
        job=job,
        cron_schedule=pipeline.schedule or "",
        execution_timezone=pipeline.timezone or "UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Runs {pipeline.path}",
    )
    def scheduled(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        if at_work := runs_at_work(pipeline, context.instance):
            return dg.SkipReason(f"{len(at_work)} runs are at work on these assets")
        at = context.scheduled_execution_time.isoformat()
        runs = [
            dg.RunRequest(run_key=f"{at}:{tags.get(RANGE_START, '')}", tags=tags)
            for tags in _due(pipeline, context.instance)
        ]
        return runs or dg.SkipReason("every shard is done")

    return scheduled


def _due(pipeline: PipelineSpec, instance: dg.DagsterInstance) -> Iterator[dict[str, str]]:
    """The tags of each run."""
    if not pipeline.is_sharded:
        yield {}
        return
    if pipeline.files_per_shard is not None:
        register_shards(pipeline, instance)
    wanted = keys = shard_keys(pipeline)
    if pipeline.files_per_shard is not None:
        done = _done_as_now(pipeline, keys, instance)
        wanted = [key for key in keys if key not in done]
    yield from map(range_tags, stretches(pipeline, wanted, keys))


def _done_as_now(
    pipeline: PipelineSpec, keys: Sequence[str], instance: dg.DagsterInstance
) -> set[str]:
    """Shards whose newest rows and results were made as the YAML says now."""
    versions = code_versions(pipeline)
    done = set(keys)
    for asset in (RAW_META, RESULTS):  # the version of results covers what lies between
        key = asset_key(pipeline, asset)
        newest = _newest_versions(key, done, instance)
        done = {shard for shard in done if newest.get(shard) == versions[asset]}
    return done


def _newest_versions(
    asset: dg.AssetKey, shards: AbstractSet[str], instance: dg.DagsterInstance
) -> dict[str, str]:
    """Shard → code version of its newest materialization; those never materialized are missing."""
    materialized = shards & instance.get_materialized_partitions(asset)
    found: dict[str, str] = {}
    cursor, more = None, True
    while more and len(found) < len(materialized):
        page = instance.fetch_materializations(asset, limit=_PAGE, cursor=cursor)
        for record in page.records:
            event, shard = record.asset_materialization, record.partition_key
            if event and shard and shard in materialized and shard not in found:
                found[shard] = (event.tags or {}).get("dagster/code_version", "")
        cursor, more = page.cursor, page.has_more
    return found
