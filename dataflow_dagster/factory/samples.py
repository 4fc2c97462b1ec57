"""A few of a shard's rows, as a person looks at them."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg

from dataflow_dagster.factory.tables import cell, line, table
from dataflow_dagster.factory.thumbnails import thumbnail
from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import is_url
from dataflow_dagster.rows import ERROR, ID, PREFIX, SOURCE_PREFIX, Row, RowError, current
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, meta_folder
from dataflow_dagster.steps.shard import Shard

LOOKED_AT = 200
SAMPLE_ROWS = 8
MOST_BYTES = 36_000
"""Of an unpartitioned asset's thumbnails; an event has 64 kB in all."""
MOST_BYTES_OF_A_PARTITION = 9_000
"""Of a partition's: the log keeps them for each, and there may be thousands."""

_OURS = {
    ID: "identifies the row",
    PREFIX + "text": "the newest text",
    PREFIX + "image": "the newest picture's path",
    PREFIX + "video": "the newest video's path",
    PREFIX + "key": "what decided the answer, hashed",
    PREFIX + "name": "what the row's files are named after",
    ERROR: "step, kind and message, where the row failed",
}


class Samples:
    """The first rows of one shard of an asset.

    Args:
        pipeline: With its environment resolved: tells where pictures are.
        asset: Its rows are shown as what they are: input, answers, results.
        shard: Whole.
    """

    def __init__(self, pipeline: PipelineSpec, asset: str, shard: Shard) -> None:
        self._pipeline = pipeline
        self._asset = asset
        self._shard = shard
        self._rows = list(islice(shard.rows(), LOOKED_AT))
        step = next((step for step in pipeline.steps if step.asset == asset), None)
        self._media = {"image"} if step is None else {step.config.reads, step.config.writes}

    def metadata(self) -> dict[str, Any]:
        """The columns, a table of rows, and one of pictures where the asset has any."""
        shown: dict[str, Any] = {
            "dagster/column_schema": _schema(self._rows),
            "rows": dg.MetadataValue.md(rows_table(self._rows[:SAMPLE_ROWS])),
        }
        pictures = self._pictures_table()
        if pictures is not None:
            shown["pictures"] = dg.MetadataValue.md(pictures)
        return shown

    def _pictures_table(self) -> str | None:
        """Rows of thumbnails and texts, as many as fit."""
        good = (row for row in self._rows if row.get(ERROR) is None)
        told = [cells for row in good if (cells := self._cells(row))]
        if "image" not in self._media or not told:
            return None
        heads = list(told[0])
        lines = [line([cell(head) for head in heads]), line(["---"] * len(heads))]
        room = MOST_BYTES if self._shard.key is None else MOST_BYTES_OF_A_PARTITION
        for cells in told[:SAMPLE_ROWS]:
            made = line([_shown(cells.get(head)) for head in heads])
            room -= len(made)
            if room < 0:
                break
            lines.append(made)
        return "\n".join(lines) if len(lines) > 2 else None

    def _cells(self, row: Row) -> dict[str, Path | str]:
        """Heading → picture or text, in the order they were made."""
        return self._result_cells(row) if self._asset == RESULTS else self._step_cells(row)

    def _step_cells(self, row: Row) -> dict[str, Path | str]:
        image, text = row.get(current("image")), row.get(current("text"))
        if image is None:
            return {}
        cells: dict[str, Path | str] = {"picture": image if is_url(image) else Path(image)}
        if text is not None and self._asset != RAW_META:
            cells["text"] = text
        step = next((step for step in self._pipeline.steps if step.asset == self._asset), None)
        drawn = step is not None and step.config.writes == "image"
        return dict(reversed(cells.items())) if drawn else cells

    def _result_cells(self, row: Row) -> dict[str, Path | str]:
        pipeline = self._pipeline
        draws = any(step.config.writes == "image" for step in pipeline.steps)
        source = row.get(SOURCE_PREFIX + pipeline.image_key if draws else pipeline.image_key)
        cells: dict[str, Path | str] = {}
        if (picture := _source_path(source, pipeline)) is not None:
            cells["picture"] = picture
        if isinstance(text := row.get(pipeline.text_key), str):
            cells["text"] = text
        if draws and isinstance(drawn := row.get(pipeline.image_key), str):
            cells["drawn"] = Path(pipeline.save_folder) / drawn
        return cells if any(isinstance(value, Path) for value in cells.values()) else {}


def rows_table(rows: Sequence[Row]) -> str:
    """Rows as a markdown table of their plain columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row if _is_plain(column)))
    if not columns:
        return "no rows"
    return table(columns, [[row.get(column) for column in columns] for row in rows])


def _schema(rows: Sequence[Row]) -> dg.TableSchema:
    """Columns and their types, as the first rows have them."""
    types: dict[str, set[str]] = {}
    for row in rows:
        for column, value in row.items():
            types.setdefault(column, set()).update(_type(value))
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, " or ".join(sorted(kinds)) or "null", description=_OURS.get(name))
            for name, kinds in types.items()
        ]
    )


def _type(value: Any) -> Iterator[str]:
    if value is not None:
        names = {str: "text", dict: "object", list: "list", bool: "bool", float: "float"}
        yield names.get(type(value), type(value).__name__)


def _is_plain(column: str) -> bool:
    return not column.startswith(PREFIX) or column in (current("text"), current("image"))


def _source_path(value: Any, pipeline: PipelineSpec) -> Path | str | None:
    """A file of this machine, or the URL of one elsewhere, which is named and not fetched."""
    try:
        found = resolve_medium(value, meta_folder(pipeline), Hosts(pipeline.allowed_hosts))
    except RowError:
        return None
    return found if found is None or is_url(found) else Path(found)


def _shown(value: Path | str | None) -> str:
    return thumbnail(value) if isinstance(value, Path) else cell(value)
