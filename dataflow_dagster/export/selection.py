"""Which rows, columns and files go along, as they were asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.export.media import Slot, path_in, slots
from dataflow_dagster.export.parquet import bytes_column
from dataflow_dagster.export.request import ExportError, ExportRequest
from dataflow_dagster.export.shards import FinishedResults, ResultRow
from dataflow_dagster.formats.format import AnyPath
from dataflow_dagster.formats.parquet_types import Kind, kinds
from dataflow_dagster.rows import ERROR, ID, SOURCE_PREFIX, Row
from dataflow_dagster.schema.pipeline import PipelineSpec


@dataclass(slots=True)
class Survey:
    """What is known of the rows before the first file is written.

    Attributes:
        columns: Each column and its kind, in order.
        slots: The media that at least one row has.
        file_columns: Columns beyond those that hold the files of `slots`.
        rows: Rows that go along.
        left_out: Failed rows that do not.
        without_media: Rows among `rows` without any file.
    """

    columns: dict[str, Kind]
    slots: list[Slot]
    file_columns: tuple[str, ...] = ()
    rows: int = 0
    left_out: int = 0
    without_media: int = 0


class Selection:
    """The rows of `results` as `request` asks for them.

    Args:
        pipeline: Names the columns of media.
        results: All rows.
        request: What is asked for.
    """

    def __init__(
        self, pipeline: PipelineSpec, results: FinishedResults, request: ExportRequest
    ) -> None:
        self._results = results
        self._request = request
        self._slots = [
            slot for slot in slots(pipeline, request.which) if self._wanted(slot, request)
        ]

    def rows(self) -> Iterator[tuple[ResultRow, Row] | None]:
        """Each row with its columns, ``dataflow_id`` the first; None for one that stays away."""
        for result in self._results:
            if result.failed and not self._request.failed:
                yield None
            else:
                yield result, self._shaped(result)

    def files(self, result: ResultRow) -> Iterator[tuple[Slot, AnyPath]]:
        """Where the row's pictures and videos are.

        Raises:
            ExportError: A column holds what is none.
        """
        for slot in self._slots:
            path = path_in(self._results, result, slot)
            if path is not None:
                yield slot, path

    def survey(self, on_row: Callable[[], None]) -> Survey:
        """One pass; `on_row` is called after each row.

        Raises:
            ExportError: No row goes along, or none has a column that was asked for.
        """
        found = Survey({}, [])
        columns: dict[str, Kind] = {}
        for selected in self.rows():
            if selected is None:
                found.left_out += 1
            else:
                result, row = selected
                columns = kinds([row], columns)
                self._count(found, result)
            on_row()
        if not found.rows:
            said = f": all {found.left_out} rows failed" if found.left_out else ""
            raise ExportError(f"there is nothing to export{said}")
        found.slots.sort(key=self._slots.index)
        found.columns = self._chosen(columns, found.slots)
        found.file_columns = self._file_columns(found)
        return found

    def _count(self, found: Survey, result: ResultRow) -> None:
        had = [slot for slot, _ in self.files(result)]
        found.slots += [slot for slot in had if slot not in found.slots]
        found.rows += 1
        found.without_media += not had

    def _chosen(self, columns: dict[str, Kind], filled: list[Slot]) -> dict[str, Kind]:
        """The columns asked for; where files stand in them, `filled` says so."""
        wanted = self._request.columns
        if wanted is None:
            return columns
        held = {slot.column for slot in filled}
        missing = [column for column in wanted if column not in columns and column not in held]
        if missing:
            allowed = ", ".join(sorted({*columns, *held}))
            raise ExportError(f"no row has the column '{missing[0]}'; allowed: {allowed}")
        return {column: columns[column] for column in wanted if column in columns}

    def _file_columns(self, found: Survey) -> tuple[str, ...]:
        if self._request.kind == "hf":
            return tuple(slot.column for slot in found.slots)
        if self._request.kind == "webdataset" or not self._request.embed:
            return ()
        names = tuple(bytes_column(slot) for slot in found.slots)
        taken = [name for name in names if name in found.columns]
        if taken:
            raise ExportError(f"rows have a column '{taken[0]}' already: choose others (--columns)")
        return names

    def _shaped(self, result: ResultRow) -> Row:
        row = {ID: result.id, **result.row}
        if row.get(ERROR) is None:
            row.pop(ERROR, None)  # a parquet file has the column for the sake of other rows
        for slot in self._slots:
            if slot.source and not slot.beside:
                row[slot.column] = result.above.get(slot.column)
                row.pop(SOURCE_PREFIX + slot.column, None)
        return self._with_files(result, row)

    def _with_files(self, result: ResultRow, row: Row) -> Row:
        """Columns of files: filled later, or filled with paths that hold wherever one is."""
        if self._request.kind == "hf":
            for slot in self._slots:
                row.pop(slot.column, None)
        if self._request.kind == "parquet" and not self._request.embed:
            row.update((slot.column, _whole_path(path)) for slot, path in self.files(result))
        return row

    def _wanted(self, slot: Slot, request: ExportRequest) -> bool:
        in_tar = request.kind == "webdataset"
        return in_tar or request.columns is None or slot.column in request.columns


def _whole_path(path: AnyPath) -> str:
    return str(path.absolute() if isinstance(path, Path) else path)
