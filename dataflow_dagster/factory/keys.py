"""What Dagster knows a pipeline's assets and job by."""

from collections.abc import Sequence

import dagster as dg

from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS


def asset_key(pipeline: PipelineSpec, asset: str) -> dg.AssetKey:
    """``<pipeline>/<asset>``."""
    return dg.AssetKey([pipeline.name, asset])


def asset_keys(pipeline: PipelineSpec) -> Sequence[dg.AssetKey]:
    """The keys of all assets of a pipeline, from ``raw_meta`` to ``results``."""
    names = [RAW_META, *(step.asset for step in pipeline.steps), RESULTS]
    return [asset_key(pipeline, name) for name in names]


def selection_of(pipeline: PipelineSpec) -> dg.AssetSelection:
    """A pipeline's assets, whatever group a project puts them in, and no others in that group.

    Where one of them is missing Dagster refuses the code location: no run is ever empty.
    """
    return dg.AssetSelection.assets(*asset_keys(pipeline))


def job_name(pipeline: PipelineSpec) -> str:
    """``<name>_pipeline``."""
    return f"{pipeline.name}_pipeline"
