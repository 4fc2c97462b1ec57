"""The user's own media: no run may write over a file that a row names."""

import os
from collections.abc import Iterator
from pathlib import Path

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.media.hosts import PORTS, Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import as_path, place, scheme
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import meta_folder
from dataflow_dagster.steps.overlap import Written, real_path


class Sources:
    """Looks whether rows name files in folders that the pipeline draws into.

    All columns of media are looked at, also those that no step reads: a name alone is enough for
    a drawing to be put there. A path at which no file is can be no source.
    """

    def __init__(self, pipeline: PipelineSpec) -> None:
        self._written = Written(pipeline)
        self._folder = meta_folder(pipeline)
        self._hosts = Hosts(pipeline.allowed_hosts)
        self._meta_path = pipeline.meta_path
        self._columns = _columns_of_media(pipeline)

    def check(self, row: Row, row_id: str) -> None:
        """Hold that what this row names is not drawn over.

        Raises:
            InputError: A file it names lies where the pipeline draws; says which keys to change.
        """
        if not self._written.draws:
            return
        for column in self._columns:
            path = self._path(row.get(column))
            key = None if path is None else self._written.key_of(as_path(path))
            if path is not None and key is not None and _is_there(path):
                message = (
                    f"row '{row_id}' names {path} (column '{column}'), which lies in a folder that"
                    f" this pipeline draws into and could be drawn over; name another {key}, or"
                    " keep your media elsewhere (meta_folder)"
                )
                raise InputError(self._meta_path, message)

    def paths(self, row: Row) -> Iterator[str]:
        """Where on this machine the media lie that a row names, as `real_path` has them."""
        for column in self._columns:
            path = self._path(row.get(column))
            if path is not None and scheme(path) == "":
                yield real_path(Path(path))

    def _path(self, value: object) -> str | None:
        try:
            path = resolve_medium(value, self._folder, self._hosts)
            return None if path is None or scheme(path) in PORTS else path
        except RowError:
            return None  # raw_meta tells of it


def _columns_of_media(pipeline: PipelineSpec) -> list[str]:
    """The user's columns that may name pictures or clips."""
    own = [step.input_key for step in pipeline.steps if step.config.reads != "text"]
    return list(dict.fromkeys([pipeline.image_key, pipeline.video_key, *filter(None, own)]))


def _is_there(path: str) -> bool:
    at = place(path)
    return os.path.lexists(at) if isinstance(at, Path) else at.exists()
