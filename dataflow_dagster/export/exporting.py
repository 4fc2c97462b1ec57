"""Results into what trainers read, as a stream: a pass over the rows, then one with the files."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import BinaryIO, Final

from dataflow_dagster.export.destination import Destination, destination
from dataflow_dagster.export.files import FileSeries, Writer, WrittenFile
from dataflow_dagster.export.media import MediumFile, read_file
from dataflow_dagster.export.parquet import CARD, ParquetWriter
from dataflow_dagster.export.request import ExportRequest
from dataflow_dagster.export.selection import Selection, Survey
from dataflow_dagster.export.shards import FinishedResults, ResultRow
from dataflow_dagster.export.webdataset import TarWriter
from dataflow_dagster.schema.pipeline import PipelineSpec

_PATTERNS: Final = {
    "webdataset": "shard-{:06d}.tar",
    "hf": "data/train-{:05d}.parquet",
    "parquet": "part-{:05d}.parquet",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds; stands in its ``_export.json``.

    Attributes:
        rows: In all files.
        left_out: Failed rows that are not among them.
        without_media: Rows among them with no picture and no video, where some row has one.
        columns: Names, in order; those of files come last.
        files: In order.
    """

    rows: int
    left_out: int
    without_media: int
    columns: tuple[str, ...]
    files: tuple[WrittenFile, ...]


def export(
    pipeline: PipelineSpec,
    keys: Sequence[str | None],
    request: ExportRequest,
    place: str,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Exported:
    """Write the rows of ``results`` to `place`, which is whole afterwards or not there.

    Args:
        pipeline: With its environment resolved.
        keys: Partition keys, in order; ``[None]``: not partitioned.
        request: What is asked for.
        place: A folder's path, or its URL in a store.
        progress: Is told of rows done and of all, both passes counted.

    Raises:
        ExportError: Nothing was exported, and why.
    """
    target = destination(place, overwrite=request.overwrite)
    results = FinishedResults(pipeline, keys)
    selection = Selection(pipeline, results, request)
    numbers = count(1)

    def on_row() -> None:
        progress(next(numbers), 2 * results.rows)

    survey = selection.survey(on_row)
    with target as folder:
        series = _series(folder, pipeline, request, survey)
        for selected in selection.rows():
            if selected is not None:
                result, row = selected
                chosen = {column: row[column] for column in survey.columns if column in row}
                series.add(result.id, chosen, _media(selection, request, result))
            on_row()
        series.finish()
        exported = _exported(survey, series)
        _publish(folder, pipeline, request, exported)
    return exported


def _series(
    folder: Destination, pipeline: PipelineSpec, request: ExportRequest, survey: Survey
) -> FileSeries:
    def writer(file: BinaryIO) -> Writer:
        if request.kind == "webdataset":
            return TarWriter(file, pipeline.text_key)
        slots = survey.slots if request.kind == "hf" or request.embed else []
        return ParquetWriter(file, survey.columns, slots, features=request.kind == "hf")

    return FileSeries(folder, request, _PATTERNS[request.kind], writer)


def _media(selection: Selection, request: ExportRequest, result: ResultRow) -> list[MediumFile]:
    if request.kind == "parquet" and not request.embed:
        return []
    return [read_file(result, slot, path) for slot, path in selection.files(result)]


def _exported(survey: Survey, series: FileSeries) -> Exported:
    return Exported(
        rows=survey.rows,
        left_out=survey.left_out,
        without_media=survey.without_media if survey.slots else 0,
        columns=(*survey.columns, *survey.file_columns),
        files=tuple(series.written),
    )


def _publish(
    folder: Destination, pipeline: PipelineSpec, request: ExportRequest, exported: Exported
) -> None:
    if request.kind == "hf":
        with folder.open("README.md") as card:
            card.write(CARD.encode())
    folder.publish({"pipeline": pipeline.name, "to": request.kind, **asdict(exported)})
