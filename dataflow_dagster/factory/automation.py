"""When a pipeline runs by itself: its schedule, and what Dagster's automation goes by."""

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,  # what define_asset_job gives has no public name
)

from dataflow_dagster.factory.partitions import (
    RANGE_START,
    range_tags,
    register_shards,
    shard_keys,
    stretches,
)
from dataflow_dagster.factory.watching import ENDED
from dataflow_dagster.schema.pipeline import OnCron, PipelineSpec
from dataflow_dagster.steps.layout import RESULTS

UNFINISHED: Final = frozenset(dg.DagsterRunStatus) - ENDED


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
        target=dg.AssetSelection.groups(pipeline.name),
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def schedule_of(pipeline: PipelineSpec, job: AssetJob) -> dg.ScheduleDefinition:
    """``<name>_schedule``: all rows, or new files and those whose shard is not done.

    Shards that are done already are told from their manifest, and cost next to nothing. While a
    run of an earlier time is at work none is begun: it would be on the same shards.
    """
    name = f"{pipeline.name}_schedule"

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=pipeline.schedule or "",
        execution_timezone=pipeline.timezone or "UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Runs {pipeline.path}",
    )
    def scheduled(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        if at_work := _at_work(name, context.instance):
            return dg.SkipReason(f"{at_work} runs of an earlier time are at work")
        at = context.scheduled_execution_time.isoformat()
        runs = [
            dg.RunRequest(run_key=f"{at}:{tags.get(RANGE_START, '')}", tags=tags)
            for tags in _due(pipeline, context.instance)
        ]
        return runs or dg.SkipReason("every shard is done")

    return scheduled


def _at_work(schedule: str, instance: dg.DagsterInstance) -> int:
    """How many runs that a schedule began have not ended."""
    begun = dg.RunsFilter(tags={"dagster/schedule_name": schedule}, statuses=list(UNFINISHED))
    return instance.get_runs_count(begun)


def _due(pipeline: PipelineSpec, instance: dg.DagsterInstance) -> Iterator[dict[str, str]]:
    """The tags of each run."""
    if not pipeline.is_sharded:
        yield {}
        return
    if pipeline.files_per_shard is not None:
        register_shards(pipeline, instance)
    wanted = keys = shard_keys(pipeline)
    if pipeline.files_per_shard is not None:
        done = instance.get_materialized_partitions(dg.AssetKey([pipeline.name, RESULTS]))
        wanted = [key for key in keys if key not in done]
    yield from map(range_tags, stretches(pipeline, wanted, keys))
