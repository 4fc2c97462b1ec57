"""The assets of one pipeline: ``raw_meta``, one a step, and ``results``."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from dataflow_dagster.factory.automation import condition_of
from dataflow_dagster.factory.checks import AssetChecks
from dataflow_dagster.factory.description import code_reference, described, kinds
from dataflow_dagster.factory.executors import NODE_LOST
from dataflow_dagster.factory.keys import asset_key
from dataflow_dagster.factory.partitions import backfill_policy, partitions_of
from dataflow_dagster.factory.running import Materialization, RunOptions
from dataflow_dagster.factory.versions import code_versions
from dataflow_dagster.factory.writers import (
    Writer,
    raw_meta_writer,
    results_writer,
    step_writer,
)
from dataflow_dagster.io_managers.files import FOLDER, STEM, io_manager_key
from dataflow_dagster.io_managers.rows import Shards
from dataflow_dagster.places import is_url
from dataflow_dagster.resources.tags import op_tags, stated
from dataflow_dagster.schema.pipeline import PipelineSpec, Resources, StepSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.stores.mirrors import address


class PipelineAssets:
    """Builds the assets of one pipeline, in the order the data goes through them."""

    def __init__(self, pipeline: PipelineSpec) -> None:
        self._pipeline = pipeline
        self._layout = Layout(pipeline)
        self._versions = code_versions(pipeline)
        self._partitions = partitions_of(pipeline)

    def build(self) -> list[dg.AssetsDefinition]:
        """``raw_meta``, the steps, ``results``: each reads the one before."""
        with warnings.catch_warnings():  # of `backfill_policy`, once for each asset
            warnings.simplefilter("ignore", dg.BetaWarning)
            assets = [self._raw_meta()]
            above = RAW_META
            for step in self._pipeline.steps:
                assets.append(self._step(step, above))
                above = step.asset
            return [*assets, self._results(above)]

    def _raw_meta(self) -> dg.AssetsDefinition:
        return self._asset(RAW_META, raw_meta_writer, above=None)

    def _step(self, step: StepSpec, above: str) -> dg.AssetsDefinition:
        return self._asset(
            step.asset,
            step_writer(step),
            above=above,
            step=step,
        )

    def _place(self, name: str) -> dict[str, Any]:
        """Where an asset's rows are, as the IO manager takes it; see `FOLDER`."""
        of = self._pipeline.save_folder if name == RESULTS else self._pipeline.base_folder
        elsewhere = is_url(of) or "$" in of
        return {STEM: address(self._layout.stem(name)), **({FOLDER: of} if elsewhere else {})}

    def _results(self, above: str) -> dg.AssetsDefinition:
        return self._asset(RESULTS, results_writer, above=above)

    def _asset(
        self,
        name: str,
        writer: Writer,
        *,
        above: str | None,
        step: StepSpec | None = None,
    ) -> dg.AssetsDefinition:
        pipeline, key = self._pipeline, asset_key(self._pipeline, name)
        resources = Resources() if step is None else step.resources
        io_key = io_manager_key(pipeline.format, "text" if step is None else step.config.writes)
        decorate = dg.asset(
            key=key,
            ins={} if above is None else {"rows": dg.AssetIn(key=asset_key(pipeline, above))},
            description=described(pipeline, name),
            group_name=pipeline.name,
            io_manager_key=io_key,
            required_resource_keys={io_key},
            partitions_def=self._partitions,
            backfill_policy=backfill_policy(pipeline),
            automation_condition=condition_of(pipeline),
            code_version=self._versions[name],
            owners=list(pipeline.owners),
            tags=pipeline.tags,
            kinds=kinds(pipeline, name),
            metadata={
                **self._place(name),
                **({} if step is None else _devices(step)),
                **code_reference(pipeline, 1 if step is None else step.line),
            },
            pool=resources.pool,
            retry_policy=_retry_policy(pipeline, step),
            op_tags=op_tags(resources, pipeline.executor),
            check_specs=AssetChecks(key, pipeline, name).specs(),
        )
        run = Materialization(pipeline, name, io_key, writer).run
        return decorate(_first(run) if above is None else _next(run))


Run = Callable[[dg.AssetExecutionContext, RunOptions, Shards], Iterator[dg.MaterializeResult[Any]]]

# Dagster reads the annotations of these functions' arguments.


def _first(run: Run) -> Callable[..., Any]:
    def materialize(context: dg.AssetExecutionContext, config: RunOptions) -> Any:
        yield from run(context, config, Shards([]))

    return materialize


def _next(run: Run) -> Callable[..., Any]:
    def materialize(context: dg.AssetExecutionContext, config: RunOptions, rows: Shards) -> Any:
        yield from run(context, config, rows)

    return materialize


def _retry_policy(pipeline: PipelineSpec, step: StepSpec | None) -> dg.RetryPolicy | None:
    if pipeline.executor != "multiprocess":
        return NODE_LOST
    stalls = step is not None and step.stall_timeout_s is not None
    return dg.RetryPolicy(max_retries=1) if stalls else None


def _devices(step: StepSpec) -> dict[str, Any]:
    """What a step runs on, and how, where its YAML says so."""
    shown: dict[str, Any] = {f"resources/{name}": of for name, of in stated(step.resources).items()}
    if step.replicas != 1:
        shown["replicas"] = step.copies
    if step.stall_timeout_s is not None:
        shown["stall_timeout_s"] = step.stall_timeout_s
    return shown
