"""A pipeline in any Dagster project: ``type: dataflow_dagster.DataflowPipeline`` in a defs.yaml."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components.core.defs_module import ComponentPath  # it has no public name
from pydantic import Field

from dataflow_dagster.factory.agreement import clashing_folders
from dataflow_dagster.factory.broken import broken_sensor
from dataflow_dagster.factory.executors import EXECUTOR_VARIABLE
from dataflow_dagster.factory.loading import definitions_of, is_validation, load_rooted, tell_broken
from dataflow_dagster.schema.errors import PipelineError, Problem
from dataflow_dagster.schema.pipeline import PipelineSpec, usable_name

STARTER = """\
# Rows in, captions out. Paths start at the project's root.
# The keys of every model: python -m dataflow_dagster models LLaVACaptioner
name: NAME
meta_path: data/images.jsonl  # {"image": "cats/1.jpg"}, one object a line
base_folder: intermediate_results/NAME
save_folder: results/NAME

steps:
  - type: ImageCaptioner
    name: LLaVACaptioner
    config:
      prompt: Describe the picture in one sentence.
"""


class PipelineScaffolder(dg.Scaffolder[Any]):
    """What ``dg scaffold defs`` leaves: a defs.yaml, and a pipeline beside it to begin with."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write both files; a pipeline that is there already is left as it is."""
        dg.scaffold_component(request, {"path": "pipeline.yaml"})
        folder = request.target_path.parent if request.append else request.target_path
        pipeline = folder / "pipeline.yaml"
        if not pipeline.exists():
            text = STARTER.replace("NAME", usable_name(folder.name))
            pipeline.write_text(text, encoding="utf-8")


@dg.scaffold_with(PipelineScaffolder)
class DataflowPipeline(dg.Component, dg.Resolvable, dg.Model):
    """Captions for pictures and pictures for captions: one pipeline's YAML as assets.

    The pipeline is a file of its own, so that braces in its prompts stay what they are.
    """

    path: str = Field(
        description="the pipeline's YAML, beside this file or from the project's root",
        examples=["pipeline.yaml"],
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The pipeline's assets, checks, job and IO managers.

        A pipeline that cannot be used takes nothing else of the project down: it has no assets,
        and stands in the log, in the definitions' metadata, and in the UI as a sensor that fails.

        Raises:
            PipelineError: All that is wrong with the pipeline, by file, line and key, where
                ``dg check defs`` asks.
        """
        file = self.file(context.component_path, context.project_root)
        try:
            pipeline = _loaded(file, context)
            _hold_apart(pipeline, context)
        except PipelineError as error:
            if is_validation(os.environ):
                raise
            tell_broken(error)
            metadata = {f"broken_pipelines/{file}": str(error)}
            return dg.Definitions(metadata=metadata, sensors=[broken_sensor(file, error)])
        return definitions_of(pipeline, os.environ)

    def file(self, place: ComponentPath, root: Path) -> Path:
        """The pipeline's YAML: beside the defs.yaml at `place`, else from the project's root."""
        here = place.file_path
        beside = (here if here.is_dir() else here.parent) / self.path
        return beside if beside.exists() else root / self.path


def _loaded(file: Path, context: dg.ComponentLoadContext) -> PipelineSpec:
    """A pipeline, read once although each component is held against all that stand before it.

    Raises:
        PipelineError: All that is wrong with it.
    """
    try:
        stat = file.stat()
    except OSError:
        return load_rooted(file, context.project_root, os.environ)
    seen = (stat.st_mtime_ns, stat.st_size, os.environ.get(EXECUTOR_VARIABLE))
    return _read(file, context.project_root, seen)


@lru_cache(maxsize=4096)
def _read(file: Path, root: Path, _seen: tuple[int, int, str | None]) -> PipelineSpec:
    return load_rooted(file, root, os.environ)


def _hold_apart(pipeline: PipelineSpec, context: dg.ComponentLoadContext) -> None:
    """Hold a pipeline to write where none of the components before it writes.

    Raises:
        PipelineError: One of them has its file, its name or a folder of it.
    """
    others: list[PipelineSpec] = []
    for place, file in _files_before(context):
        if file == pipeline.path:
            both = (context.component_path, place)
            ours, theirs = (at.get_display_key(context.defs_module_path) for at in both)
            said = f"is the pipeline of two components, {theirs} and {ours}; one is enough"
            raise PipelineError(file, [Problem(None, None, "", said)])
        try:
            others.append(_loaded(file, context))
        except PipelineError:  # told where that component is built
            continue
    clashing_folders(pipeline, others)


def _files_before(context: dg.ComponentLoadContext) -> Iterator[tuple[ComponentPath, Path]]:
    """The pipelines of the project's components that stand before this one, and where."""
    tree = context.component_tree
    for place, declared in tree.find_root_decl().iterate_loc_component_decl_pairs():
        if place == context.component_loc:
            return
        if isinstance(place, ComponentPath) and _is_ours(declared.component_type):
            component = tree.load_component(place, DataflowPipeline)
            yield place, component.file(place, context.project_root)


def _is_ours(kind: object) -> bool:
    """A loader in Python need not say what it gives."""
    return isinstance(kind, type) and issubclass(kind, DataflowPipeline)
