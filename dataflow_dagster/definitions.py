"""The code location: every pipeline file, each as assets; a broken one takes no other down."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg

from dataflow_dagster.factory.agreement import clashing_folders
from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec

PIPELINES_VARIABLE = "DATAFLOW_PIPELINES"
"""Environment variable: files and folders of pipelines, separated as in ``PATH``."""

DEFAULT_PIPELINES = Path("data/pipelines")

_log = logging.getLogger("dataflow_dagster")


def pipeline_files(environ: Mapping[str, str]) -> list[Path]:
    """The files named by ``DATAFLOW_PIPELINES``, else ``data/pipelines/*.yaml``, in order."""
    named = environ.get(PIPELINES_VARIABLE)
    places = [DEFAULT_PIPELINES] if not named else map(Path, named.split(os.pathsep))
    return [file for place in places for file in _files_of(place)]


def load_definitions(environ: Mapping[str, str]) -> dg.Definitions:
    """Definitions of all pipelines; broken ones are logged and told in the metadata."""
    loaded: list[PipelineSpec] = []
    broken: dict[str, str] = {}
    for file in pipeline_files(environ):
        try:
            pipeline = load_pipeline(file)
            clashing_folders(pipeline, loaded)
            loaded.append(pipeline)
        except PipelineError as error:
            _log.error("pipeline not loaded:\n%s", error)
            broken[str(file)] = str(error)
        else:
            _warn(pipeline, environ)
    told = dg.Definitions(metadata={"broken_pipelines": broken} if broken else {})
    return dg.Definitions.merge(told, *map(pipeline_definitions, loaded))


def _files_of(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(path for path in place.iterdir() if path.suffix in (".yaml", ".yml"))
    elif place != DEFAULT_PIPELINES or place.exists():
        yield place


def _warn(pipeline: PipelineSpec, environ: Mapping[str, str]) -> None:
    for warning in pipeline.warnings:
        _log.warning(warning)
    for problem in pipeline.unset_variables(environ):
        _log.warning("%s:%s", pipeline.path, problem)


defs = load_definitions(os.environ)
