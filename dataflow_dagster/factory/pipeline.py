"""One pipeline → its Dagster definitions."""

import dagster as dg

from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.io_managers.files import IO_MANAGERS
from dataflow_dagster.schema.pipeline import PipelineSpec


def pipeline_definitions(pipeline: PipelineSpec) -> dg.Definitions:
    """Assets, checks, IO managers and the job of one pipeline.

    Several pipelines' definitions merge: they share their IO managers.
    """
    job = dg.define_asset_job(
        job_name(pipeline),
        selection=dg.AssetSelection.groups(pipeline.name),
        description=f"All assets of {pipeline.path}",
    )
    return dg.Definitions(
        assets=PipelineAssets(pipeline).build(), jobs=[job], resources=IO_MANAGERS
    )


def job_name(pipeline: PipelineSpec) -> str:
    """``<name>_pipeline``."""
    return f"{pipeline.name}_pipeline"
