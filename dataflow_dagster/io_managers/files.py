"""Dagster's IO managers for rows: jsonl and parquet, with or without pictures or clips."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import dagster as dg
from upath import UPath

from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.io_managers.pictures import save_pictures, with_lazy_pictures
from dataflow_dagster.io_managers.rows import Shards, load_as, rows_of
from dataflow_dagster.io_managers.videos import save_clips, with_lazy_clips
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import Medium, Row
from dataflow_dagster.schema.environment import with_variables
from dataflow_dagster.stores import mirrors

STEM = "dataflow/stem"
"""Definition metadata: an asset's rows file without its ending, or its folder of shards."""
FOLDER = "dataflow/folder"
"""Definition metadata: ``base_folder`` or ``save_folder``, where it is or may be in a store."""


_WRITERS = {".jsonl": Jsonl(), ".parquet": Parquet()}


class RowsIOManager(dg.ConfigurableIOManager, dg.UPathIOManager):
    """Rows of any asset as files; steps stream theirs through `shard`, others return values.

    A step's rows lie where its definition metadata says; those of a user's own asset under
    ``base_folder/<asset key>``, its partitions as files of their own.
    """

    base_folder: str = "intermediate_results"

    @property
    def _base_path(self) -> UPath:
        return UPath(mirrors.local(self.base_folder))

    def shard(self, stem: Path, key: str | None) -> Shard:
        """The shard that a step writes: its `path` ends in this IO manager's format."""
        path = stem if key is None else stem / key
        return Shard(path.with_name(f"{path.name}{self.extension}"), key)

    def load_input(self, context: dg.InputContext) -> Any:
        """Give a downstream asset what its annotation asks for; see `load_as`."""
        mirrors.forget()
        loaded: Any = super().load_input(context)
        shards: list[Shard] = [] if loaded is None else [loaded]
        if isinstance(loaded, dict):
            shards = [loaded[key] for key in sorted(loaded)]  # Dagster's order is a set's
        return load_as(context.dagster_type.typing_type, shards)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Shard:
        """A handle on the rows; they are read when they are asked for.

        Raises:
            FileNotFoundError: They are not there. Of ``Shards`` each tells that when it is read,
                so that one that was not made keeps nobody from the others.
        """
        here = Path(str(path))
        if context.dagster_type.typing_type is not Shards and not mirrors.exists(here):
            asset = context.asset_key.to_user_string()
            raise FileNotFoundError(
                f"{mirrors.address(here)} is missing: materialize {asset} first"
            )
        keys = context.asset_partition_keys if context.has_asset_partitions else [None]
        key = next((key for key in keys if key and path.name == f"{key}{self.extension}"), None)
        return Shard(here, key)

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write what a user's asset returned; a step streams its rows itself and returns none."""
        if not context.has_asset_partitions or len(context.asset_partition_keys) == 1:
            super().handle_output(context, obj)
            return
        paths, values = self._get_paths_for_partitions(context), _by_partition(context, obj)
        for key, path in paths.items():
            self.make_directory(path.parent)
            self.dump_to_path(context, values[key], path)

    def dump_to_path(self, context: dg.OutputContext, obj: Any, path: UPath) -> None:
        """Write rows to `path` in one step: never seen half."""
        whole = Path(str(path))
        _WRITERS[whole.suffix].write(whole, self.written_rows(obj, whole))
        mirrors.put(whole)

    def get_metadata(self, context: dg.OutputContext, obj: Any) -> dict[str, dg.MetadataValue[Any]]:
        """Where the rows of a returned value are, as a person knows it."""
        if obj is None or (context.has_asset_partitions and len(context.asset_partition_keys) > 1):
            return {}
        path = Path(str(self._path_of(context)))
        return {"path": dg.MetadataValue.path(mirrors.address(path))}

    def _path_of(self, context: dg.OutputContext) -> UPath:
        if not context.has_asset_partitions:
            return self._get_path(context)
        return next(iter(self._get_paths_for_partitions(context).values()))

    def written_rows(self, obj: Any, path: Path) -> Iterator[Row]:
        """The rows of a returned value."""
        return rows_of(obj)

    def _get_path_without_extension(self, context: dg.InputContext | dg.OutputContext) -> UPath:
        output = context.upstream_output if isinstance(context, dg.InputContext) else context
        told = {} if output is None else output.definition_metadata
        stem = told.get(STEM)
        if stem is None:
            return super()._get_path_without_extension(context)
        return UPath(_here(with_variables(stem, os.environ), told.get(FOLDER)))


def _here(stem: str, folder: str | None) -> Path:
    """The path on this machine of what lies in `folder`, of which variables are not resolved."""
    if folder is None:
        return Path(stem)
    whole = with_variables(folder, os.environ).rstrip("/")
    return mirrors.local(whole) / stem.removeprefix(f"{whole}/")


def _by_partition(context: dg.OutputContext, obj: Any) -> Mapping[str, Any]:
    keys = sorted(context.asset_partition_keys)
    if isinstance(obj, Mapping) and set(cast("Mapping[str, Any]", obj)) == set(keys):
        return cast("Mapping[str, Any]", obj)
    raise TypeError(
        f"{context.asset_key.to_user_string()} is asked for {len(keys)} partitions in one run:"
        f" return a dict of rows by partition key ({keys[0]}, ...), or give the asset a"
        " BackfillPolicy.multi_run(1)"
    )


class JsonlIOManager(RowsIOManager):
    """Rows as jsonl."""

    extension: ClassVar[str | None] = ".jsonl"  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic needs ClassVar


class ParquetIOManager(RowsIOManager):
    """Rows as parquet."""

    extension: ClassVar[str | None] = ".parquet"  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic needs ClassVar


class _WithPictures(RowsIOManager):
    def load_input(self, context: dg.InputContext) -> Any:
        """As `RowsIOManager`; rows loaded as ``list[dict]`` have their picture, opened lazily."""
        loaded = super().load_input(context)
        return with_lazy_pictures(loaded) if isinstance(loaded, list) else loaded

    def written_rows(self, obj: Any, path: Path) -> Iterator[Row]:
        """The rows of a returned value, with PIL pictures in it saved as PNG beside them."""
        return save_pictures(rows_of(obj), path)


class ImagesIOManager(_WithPictures):
    """Rows of pictures: jsonl, the pictures as files beside it."""

    extension: ClassVar[str | None] = ".jsonl"  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic needs ClassVar


class ParquetImagesIOManager(_WithPictures):
    """Rows of pictures: parquet, the pictures as files beside it."""

    extension: ClassVar[str | None] = ".parquet"  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic needs ClassVar


class _WithClips(RowsIOManager):
    def load_input(self, context: dg.InputContext) -> Any:
        """As `RowsIOManager`; rows loaded as ``list[dict]`` have their clip, opened lazily."""
        loaded = super().load_input(context)
        return with_lazy_clips(loaded) if isinstance(loaded, list) else loaded

    def written_rows(self, obj: Any, path: Path) -> Iterator[Row]:
        """The rows of a returned value, with clips in it saved as mp4 beside them."""
        return save_clips(rows_of(obj), path)


class VideosIOManager(_WithClips):
    """Rows of clips: jsonl, the clips as files beside it."""

    extension: ClassVar[str | None] = ".jsonl"  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic needs ClassVar


class ParquetVideosIOManager(_WithClips):
    """Rows of clips: parquet, the clips as files beside it."""

    extension: ClassVar[str | None] = ".parquet"  # pyright: ignore[reportIncompatibleVariableOverride]  # pydantic needs ClassVar


IO_MANAGERS: dict[str, RowsIOManager] = {
    "dataflow_jsonl": JsonlIOManager(),
    "dataflow_parquet": ParquetIOManager(),
    "dataflow_jsonl_images": ImagesIOManager(),
    "dataflow_parquet_images": ParquetImagesIOManager(),
    "dataflow_jsonl_videos": VideosIOManager(),
    "dataflow_parquet_videos": ParquetVideosIOManager(),
}
"""Resource key → IO manager; one object each, so that several pipelines' definitions merge."""


def io_manager_key(row_format: str, medium: Medium = "text") -> str:
    """The resource key for an asset's rows.

    Args:
        row_format: ``jsonl`` or ``parquet``.
        medium: What the asset's rows name that it made.
    """
    made = {"text": "", "image": "_images", "video": "_videos"}[medium]
    return f"dataflow_{row_format}{made}"
