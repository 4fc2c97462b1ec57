"""From pipeline files to Dagster definitions, several files beside each other."""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import dagster as dg

from dataflow_dagster.factory.agreement import clashing_folders
from dataflow_dagster.factory.broken import broken_sensor
from dataflow_dagster.factory.executors import location_executor, placed
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.schema.rooting import rooted

_log = logging.getLogger("dataflow_dagster")


VALIDATION: Final = "DAGSTER_IS_DEFS_VALIDATION_CLI"
"""Environment variable that ``dg check defs`` and ``dagster definitions validate`` set."""


def build_definitions(path: str | Path, *, root: Path | None = None) -> dg.Definitions:
    """The Dagster definitions of one pipeline's YAML file, to be merged with a user's own.

    Args:
        path: The file.
        root: Where its relative paths start; None: the working directory of whoever runs a step.

    Raises:
        PipelineError: All that is wrong with the file, by line and key.
    """
    return definitions_of(load_rooted(Path(path), root, os.environ), os.environ)


def load_rooted(path: Path, root: Path | None, environ: Mapping[str, str]) -> PipelineSpec:
    """A pipeline whose relative paths start at `root`.

    Raises:
        PipelineError: All that is wrong with the file, by line and key.
    """
    pipeline = placed(load_pipeline(path), environ)
    return pipeline if root is None else rooted(pipeline, root)


def definitions_of(pipeline: PipelineSpec, environ: Mapping[str, str]) -> dg.Definitions:
    """The definitions of a pipeline that was loaded; what is odd about it is logged."""
    _warn(pipeline, environ)
    return pipeline_definitions(pipeline)


def merged_definitions(files: Iterable[Path], environ: Mapping[str, str]) -> dg.Definitions:
    """Definitions of all pipelines that can be used; a broken one takes no other down.

    It is logged, stands in the UI as a sensor that fails, and is told in the definitions' metadata
    under ``broken_pipelines``.

    Raises:
        dagster.DagsterInvalidDefinitionError: All that is wrong with the broken ones, where it was
            asked whether any is.
    """
    loaded: list[PipelineSpec] = []
    broken: dict[str, str] = {}
    sensors: list[dg.SensorDefinition] = []
    for file in files:
        try:
            pipeline = placed(load_pipeline(file), environ)
            clashing_folders(pipeline, loaded)
        except PipelineError as error:
            tell_broken(error)
            broken[str(file)] = str(error)
            sensors.append(broken_sensor(file, error))
        else:
            loaded.append(pipeline)
    if broken and is_validation(environ):
        raise dg.DagsterInvalidDefinitionError("\n".join(broken.values()))
    metadata = {"broken_pipelines": broken} if broken else {}
    executor = location_executor(loaded)
    told = dg.Definitions(metadata=metadata, executor=executor, sensors=sensors)
    return dg.Definitions.merge(told, *(definitions_of(pipeline, environ) for pipeline in loaded))


def is_validation(environ: Mapping[str, str]) -> bool:
    """Whether definitions are loaded to be checked, so that any fault of theirs is to fail."""
    return bool(environ.get(VALIDATION))


def tell_broken(error: PipelineError) -> None:
    """A pipeline that is left out stands in the log, with all that is wrong with it."""
    _log.error("pipeline not loaded:\n%s", error)


def _warn(pipeline: PipelineSpec, environ: Mapping[str, str]) -> None:
    for warning in pipeline.warnings:
        _log.warning(warning)
    for problem in pipeline.unset_variables(environ):
        _log.warning(problem.told_of(pipeline.path))
