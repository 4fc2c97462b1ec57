"""Which shards a retry of failed rows takes: those that are done; all else waits."""

import os
from collections.abc import Sequence

import click

from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.file_input import waiting_files
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.stores import mirrors


def done_shards(pipeline: PipelineSpec, keys: Sequence[str]) -> list[str]:
    """Those of the shards that every step has made; what waits is told on standard error.

    Where none is done they are all given: the run then says what is not done.
    """
    ready = pipeline.with_environment(os.environ)
    layout = Layout(ready)
    mirrors.forget()
    assets = [RAW_META, *(step.asset for step in ready.steps)]
    there = [mirrors.names(layout.stem(asset)) for asset in assets]
    done = [key for key in keys if all(f"{key}.manifest.json" in names for names in there)]
    waiting = [f"{len(keys) - len(done)} shards that are not done"] if len(done) < len(keys) else []
    files = [] if pipeline.files_per_shard is None else waiting_files(ready)
    if files:
        waiting.append(f"{len(files)} new files ({files[0]}{', ...' if files[1:] else ''})")
    if done and waiting:
        click.echo(f"{' and '.join(waiting)} wait for a run without --retry-failed", err=True)
    return done or list(keys)
