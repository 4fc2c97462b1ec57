"""Pipelines that would write over each other are told so before they run."""

import os
from collections.abc import Iterable
from pathlib import Path

from dataflow_dagster.places import as_path, is_url
from dataflow_dagster.schema.environment import with_variables
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import problem_in
from dataflow_dagster.schema.pipeline import PipelineSpec


def clashing_folders(pipeline: PipelineSpec, others: Iterable[PipelineSpec]) -> None:
    """Hold `pipeline` to have a name and folders of its own among those loaded before.

    Raises:
        PipelineError: Another pipeline has its name, its ``base_folder`` or its ``save_folder``.
    """
    for other in others:
        if other.name == pipeline.name:
            said = f"'{pipeline.name}' is the name of {other.path} too; give one of them"
            raise _clash(pipeline, "name", f"{said} another by 'name:'")
        theirs = {_place(other.base_folder), _place(other.save_folder)}
        for key, folder in (
            ("base_folder", pipeline.base_folder),
            ("save_folder", pipeline.save_folder),
        ):
            if _place(folder) in theirs:
                said = f"'{folder}' is written by {other.path} too; give each pipeline its own"
                raise _clash(pipeline, key, said)


def _place(folder: str) -> Path:
    """Equal for two spellings of one folder, also of one that is not there yet."""
    path = as_path(with_variables(folder, os.environ))
    return path if is_url(folder) else path.resolve()


def _clash(pipeline: PipelineSpec, key: str, message: str) -> PipelineError:
    return PipelineError(pipeline.path, [problem_in(pipeline.path, key, message)])
