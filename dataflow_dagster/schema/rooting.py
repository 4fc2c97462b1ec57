"""A pipeline whose relative paths start at a given folder, wherever its steps run."""

from pathlib import Path

from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec

_PATHS = ("meta_path", "meta_folder", "base_folder", "save_folder")


def rooted(pipeline: PipelineSpec, root: Path) -> PipelineSpec:
    """A copy whose paths are absolute; a model's path only where such a folder is there.

    What begins with ``${`` or names a scheme (``s3://``) stays as it is.
    """
    paths = {name: getattr(pipeline, name) for name in _PATHS}
    update = {name: _from(path, root) for name, path in paths.items() if path is not None}
    steps = tuple(_rooted_step(step, root) for step in pipeline.steps)
    return pipeline.model_copy(update={**update, "steps": steps})


def _rooted_step(step: StepSpec, root: Path) -> StepSpec:
    path = getattr(step.config, "model_path", None)
    if not isinstance(path, str) or not (root / path).is_dir():
        return step
    config = step.config.model_copy(update={"model_path": _from(path, root)})
    return step.model_copy(update={"config": config})


def _from(path: str, root: Path) -> str:
    if path.startswith("${") or "://" in path:
        return path
    return str(root / path)
