"""Pipelines that would write over each other are told so before they run."""

from collections.abc import Iterable
from pathlib import Path

from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.pipeline import PipelineSpec


def clashing_folders(pipeline: PipelineSpec, others: Iterable[PipelineSpec]) -> None:
    """Hold `pipeline` to have a name and folders of its own among those loaded before.

    Raises:
        PipelineError: Another pipeline has its name, its ``base_folder`` or its ``save_folder``.
    """
    for other in others:
        if other.name == pipeline.name:
            raise _clash(pipeline, "name", f"'{pipeline.name}' is the name of {other.path} too")
        for key in ("base_folder", "save_folder"):
            folder = Path(getattr(pipeline, key))
            if folder.absolute() == Path(getattr(other, key)).absolute():
                said = f"'{folder}' is written by {other.path} too; give each pipeline its own"
                raise _clash(pipeline, key, said)


def _clash(pipeline: PipelineSpec, key: str, message: str) -> PipelineError:
    return PipelineError(pipeline.path, [Problem(None, None, key, message)])
