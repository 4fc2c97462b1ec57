"""New files become partitions where somebody asks for it."""

import dagster as dg

from dataflow_dagster.factory.partitions import register_shards, shard_keys
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.pipeline import PipelineSpec


def register_job(pipeline: PipelineSpec) -> dg.JobDefinition:
    """``<name>_register``: files at ``meta_path`` that are in no shard yet become partitions."""
    said = f"Makes partitions of the files at {pipeline.meta_path} that are in none yet."

    @dg.op(name=f"{pipeline.name}_register_files", description=said)
    def register(context: dg.OpExecutionContext) -> None:
        try:
            new = register_shards(pipeline, context.instance)
        except (InputError, PipelineError) as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None
        shown = f", {new[0]} to {new[-1]}" if new else ""
        context.log.info(f"{len(new)} new shards{shown}; {len(shard_keys(pipeline))} in all")

    @dg.job(name=f"{pipeline.name}_register", description=said, executor_def=dg.in_process_executor)
    def register_files() -> None:
        register()

    return register_files
