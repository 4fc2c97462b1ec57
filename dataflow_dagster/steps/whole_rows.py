"""The row as a function of the user's is given it, and what of its media tells it apart."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.rows import LARGEST_WHOLE, Medium, Row, RowError, current
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import meta_folder
from dataflow_dagster.steps.overlap import Written

_MEDIA: Final[tuple[Medium, ...]] = ("image", "video")


class WholeRows:
    """Rows with their picture and clip, the same whatever format and split they come from.

    A parquet file has a column for the sake of other rows, null in those that lack it, and of
    numbers one type: nulls are left out, and whole numbers are integers.
    """

    def __init__(self, pipeline: PipelineSpec) -> None:
        self._columns = {"image": pipeline.image_key, "video": pipeline.video_key}
        self._folder = meta_folder(pipeline)
        self._hosts = Hosts(pipeline.allowed_hosts)
        self._written = Written(pipeline)

    def of(self, row: Row) -> Row:
        """A copy with ``dataflow_image`` and ``dataflow_video``, of which a row may have none.

        A value that is no path costs the row nothing: the function may have no use for it.
        """
        whole = _plain(row)
        for medium in _MEDIA:
            if current(medium) not in whole:
                path = self._own(row, medium)
                if path is not None:
                    whole[current(medium)] = path
        return whole

    def media(self, row: Row) -> Iterator[str]:
        """The paths or URLs of the media in what `of` gives."""
        return (row[current(medium)] for medium in _MEDIA if current(medium) in row)

    def _own(self, row: Row, medium: Medium) -> str | None:
        try:
            path = resolve_medium(row.get(self._columns[medium]), self._folder, self._hosts)
            return None if path is None else self._written.checked(path)
        except RowError:
            return None


def _plain(row: Mapping[str, Any]) -> Row:
    return {name: _value(value) for name, value in row.items() if value is not None}


def _value(value: object) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) <= LARGEST_WHOLE:
            return int(value)
        case dict():
            return _plain(cast("Row", value))
        case list():
            return [_value(entry) for entry in cast("list[object]", value)]
        case _:
            return value
