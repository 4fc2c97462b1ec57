"""Media that stand in the rows of an input, put into files, so that rows stay small."""

from uuid import uuid4

from dataflow_dagster.media.embedded import Embedded, embedded_in
from dataflow_dagster.rows import Row
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.steps.pictures import bytes_digest
from dataflow_dagster.stores import mirrors

FOLDER = "media"
"""Below ``raw_meta``'s own folder: ``media/ab/abcdef….jpg``, named after the bytes' hash."""


class EmbeddedMedia:
    """Takes media out of rows."""

    def __init__(self, pipeline: PipelineSpec) -> None:
        self._columns = (pipeline.image_key, pipeline.video_key)
        self._folder = Layout(pipeline).folder(RAW_META).absolute() / FOLDER

    def taken_out(self, row: Row) -> Row:
        """The row with the paths of files in place of its media; itself, where it has none.

        Raises:
            OSError: The disk is full or read-only: no fault of the row.
        """
        found = self._found(row)
        if not found:
            return row
        return {**row, **{column: self._path(medium) for column, medium in found.items()}}

    def with_names(self, row: Row) -> Row:
        """The row with the names its media came with, after which its own drawings are named."""
        found = self._found(row)
        return {**row, **{c: medium.name for c, medium in found.items()}} if found else row

    def _found(self, row: Row) -> dict[str, Embedded]:
        found: dict[str, Embedded] = {}
        for column in self._columns:
            value = row.get(column)
            medium = None if value is None else embedded_in(value)
            if medium is not None:
                found[column] = medium
        return found

    def _path(self, medium: Embedded) -> str | None:
        if medium.content is None:
            return medium.name
        digest = bytes_digest(medium.content)
        path = self._folder / digest[:2] / f"{digest}{medium.ending}"
        if mirrors.size(path) != len(medium.content):
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{uuid4().hex}.part")
            part.write_bytes(medium.content)
            part.replace(path)
            mirrors.put(path)
        return mirrors.address(path)
