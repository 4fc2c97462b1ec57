"""From pipeline files to Dagster definitions, several files beside each other."""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import dagster as dg

from dataflow_dagster.factory.agreement import clashing_folders
from dataflow_dagster.factory.executors import location_executor, placed
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.schema.rooting import rooted

_log = logging.getLogger("dataflow_dagster")


def build_definitions(path: str | Path, *, root: Path | None = None) -> dg.Definitions:
    """The Dagster definitions of one pipeline's YAML file, to be merged with a user's own.

    Args:
        path: The file.
        root: Where its relative paths start; None: the working directory of whoever runs a step.

    Raises:
        PipelineError: All that is wrong with the file, by line and key.
    """
    pipeline = placed(load_pipeline(Path(path)), os.environ)
    _warn(pipeline, os.environ)
    return pipeline_definitions(pipeline if root is None else rooted(pipeline, root))


def merged_definitions(files: Iterable[Path], environ: Mapping[str, str]) -> dg.Definitions:
    """Definitions of all pipelines that can be used; a broken one takes no other down.

    It is logged, and told in the definitions' metadata under ``broken_pipelines``.
    """
    loaded: list[PipelineSpec] = []
    broken: dict[str, str] = {}
    for file in files:
        try:
            pipeline = placed(load_pipeline(file), environ)
            clashing_folders(pipeline, loaded)
        except PipelineError as error:
            _log.error("pipeline not loaded:\n%s", error)
            broken[str(file)] = str(error)
        else:
            _warn(pipeline, environ)
            loaded.append(pipeline)
    metadata = {"broken_pipelines": broken} if broken else {}
    told = dg.Definitions(metadata=metadata, executor=location_executor(loaded))
    return dg.Definitions.merge(told, *map(pipeline_definitions, loaded))


def _warn(pipeline: PipelineSpec, environ: Mapping[str, str]) -> None:
    for warning in pipeline.warnings:
        _log.warning(warning)
    for problem in pipeline.unset_variables(environ):
        _log.warning(problem.told_of(pipeline.path))
