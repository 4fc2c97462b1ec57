"""A pipeline in any Dagster project: ``type: dataflow_dagster.DataflowPipeline`` in a defs.yaml."""

from typing import Any

import dagster as dg
from pydantic import Field

from dataflow_dagster.factory.loading import build_definitions

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
            name = "".join(sign if sign.isalnum() else "_" for sign in folder.name)
            pipeline.write_text(STARTER.replace("NAME", name), encoding="utf-8")


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

        Raises:
            PipelineError: All that is wrong with the pipeline's file, by line and key.
        """
        here = context.path if context.path.is_dir() else context.path.parent
        beside = here / self.path
        file = beside if beside.exists() else context.project_root / self.path
        return build_definitions(file, root=context.project_root)
