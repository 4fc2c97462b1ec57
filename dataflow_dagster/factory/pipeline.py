"""One pipeline → its Dagster definitions."""

import dagster as dg

from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.factory.automation import automation_sensor, schedule_of
from dataflow_dagster.factory.executors import job_executor
from dataflow_dagster.factory.keys import job_name, selection_of
from dataflow_dagster.factory.registration import register_job
from dataflow_dagster.factory.watching import watch_sensor
from dataflow_dagster.io_managers.files import IO_MANAGERS
from dataflow_dagster.schema.pipeline import PipelineSpec


def pipeline_definitions(pipeline: PipelineSpec) -> dg.Definitions:
    """Assets, checks, IO managers and the job of one pipeline, and what runs it by itself.

    Several pipelines' definitions merge: they share their IO managers.
    """
    job = dg.define_asset_job(
        job_name(pipeline),
        selection=selection_of(pipeline),
        description=f"All assets of {pipeline.path}",
        executor_def=job_executor(pipeline),
    )
    sensors = [watch_sensor(pipeline, job)] if pipeline.watch is not None else []
    conditions = [automation_sensor(pipeline)] if pipeline.automation is not None else []
    return dg.Definitions(
        assets=PipelineAssets(pipeline).build(),
        jobs=[job] if pipeline.files_per_shard is None else [job, register_job(pipeline)],
        schedules=[] if pipeline.schedule is None else [schedule_of(pipeline, job)],
        sensors=[*sensors, *conditions],
        resources=IO_MANAGERS,
    )
