"""Which folder and file each asset of a pipeline has: the reference system's layout."""

import glob
from pathlib import Path

from dataflow_dagster.ledger.shard import RAW_META_FOLDER, Shard
from dataflow_dagster.places import AnyPath, place
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.stores import mirrors

RAW_META = "raw_meta"
RESULTS = "results"


def meta_folder(pipeline: PipelineSpec) -> AnyPath:
    """What relative media paths in rows are below: ``meta_folder``, else ``meta_path``'s folder."""
    if pipeline.meta_folder is not None:
        return place(pipeline.meta_folder)
    path = place(pipeline.meta_path)
    if path.is_dir():
        return path
    above = list(path.parents) if not path.exists() else [path.parent]
    return next((folder for folder in above if not glob.has_magic(str(folder))), path.parent)


class Layout:
    """Where a pipeline's assets lie; of a folder in a store, where on this machine.

    ``<base_folder>/step_<i>_<type>_<name>/result.jsonl``, ``<save_folder>/result.jsonl``; sharded:
    ``.../result/<partition key>.jsonl``. Drawn pictures: ``<folder>/<asset>/``.
    """

    def __init__(self, pipeline: PipelineSpec) -> None:
        self._format = pipeline.format
        self.base_folder = mirrors.local(pipeline.base_folder)
        self.save_folder = mirrors.local(pipeline.save_folder)
        self._folders = {
            RAW_META: self.base_folder / RAW_META_FOLDER,
            **{step.asset: self.base_folder / step.folder for step in pipeline.steps},
            RESULTS: self.save_folder,
        }

    def folder(self, asset: str) -> Path:
        """The folder of one asset's files."""
        return self._folders[asset]

    def step_folder(self, step: StepSpec) -> Path:
        """The folder of one step's rows and pictures."""
        return self._folders[step.asset]

    def stem(self, asset: str) -> Path:
        """The asset's rows file without its ending; its folder of shards where it is sharded."""
        return self._folders[asset] / "result"

    def shard(self, asset: str, key: str | None = None) -> Shard:
        """One asset's rows; `key`: of one partition."""
        stem = self.stem(asset)
        path = stem if key is None else stem / key
        return Shard(path.with_name(f"{path.name}.{self._format}"), key)

    def errors(self, key: str | None = None) -> Path:
        """Failed rows with their reason, beside the results."""
        return self.save_folder / ("errors.jsonl" if key is None else f"errors/{key}.jsonl")
