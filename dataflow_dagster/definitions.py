"""The code location: every pipeline file, each as assets; a broken one takes no other down."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from dataflow_dagster.factory.loading import merged_definitions

PIPELINES_VARIABLE = "DATAFLOW_PIPELINES"
"""Environment variable: files and folders of pipelines, separated as in ``PATH``."""

DEFAULT_PIPELINES = Path("data/pipelines")


def pipeline_files(environ: Mapping[str, str]) -> list[Path]:
    """The files named by ``DATAFLOW_PIPELINES``, else ``data/pipelines/*.yaml``, in order."""
    named = environ.get(PIPELINES_VARIABLE, "")
    places = [Path(place) for place in named.split(os.pathsep) if place]
    files = [file for place in places or [DEFAULT_PIPELINES] for file in _files_of(place)]
    return list({file.absolute(): file for file in files}.values())


def _files_of(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(
            path for path in place.iterdir() if path.suffix.lower() in (".yaml", ".yml")
        )
    elif place != DEFAULT_PIPELINES or place.exists():
        yield place


defs = merged_definitions(pipeline_files(os.environ), os.environ)
