"""A few of a shard's rows, as a person looks at them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg

from dataflow_dagster.decoding.previews import Previews
from dataflow_dagster.factory.tables import cell, line, table
from dataflow_dagster.factory.thumbnails import strips, thumbnail
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import is_url
from dataflow_dagster.rows import (
    ERROR,
    ID,
    PREFIX,
    SOURCE_PREFIX,
    Medium,
    Row,
    RowError,
    current,
)
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout, meta_folder
from dataflow_dagster.stores import mirrors

LOOKED_AT = 200
SAMPLE_ROWS = 8
MOST_BYTES = {"pictures": 36_000, "rows": 10_000, "schema": 6_000}
"""Of an unpartitioned asset's tables; an event has 64 kB in all."""
MOST_BYTES_OF_A_PARTITION = {"pictures": 9_000, "rows": 5_000, "schema": 3_000}
"""Of a partition's: the log keeps them for each, and there may be thousands."""
_COLUMN_BYTES = 150
"""Of a column in a schema, beside its name and description, as Dagster stores it."""

_OURS = {
    ID: "identifies the row",
    PREFIX + "text": "the newest text",
    PREFIX + "image": "the newest picture's path",
    PREFIX + "video": "the newest video's path",
    PREFIX + "key": "what decided the answer, hashed",
    PREFIX + "name": "what the row's files are named after",
    ERROR: "step, kind and message, where the row failed",
}
_SOURCES: dict[Medium, str] = {"image": "picture", "video": "clip"}
_MADE: dict[Medium, str] = {"image": "drawn", "video": "made"}
"""Headings in the table of pictures, in ``results`` those of what was given and what was made."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file to be shown as a thumbnail."""

    medium: Medium
    path: Path


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
        self._step = next((step for step in pipeline.steps if step.asset == asset), None)
        config = None if self._step is None else self._step.config
        self._media = set(_SOURCES) if config is None else {config.reads, config.writes}
        self._room = MOST_BYTES if shard.key is None else MOST_BYTES_OF_A_PARTITION

    def metadata(self) -> dict[str, Any]:
        """The columns, a table of rows, and one of pictures and clips where the asset has any.

        Of wide rows those columns that the pipeline reads and writes, and as many others as fit.
        """
        first = self._own_columns()
        columns = schema(self._rows, first, self._room["schema"])
        of_rows = rows_table(self._rows[:SAMPLE_ROWS], first, self._room["rows"])
        shown: dict[str, Any] = {
            "dagster/column_schema": columns,
            "rows": dg.MetadataValue.md(of_rows),
        }
        every = {column for row in self._rows for column in row}
        if len(columns.columns) < len(every):
            shown["columns"] = f"{len(every):,}, of which the schema shows {len(columns.columns)}"
        with strips() as clips:
            pictures = self._pictures_table(clips)
        if pictures is not None:
            shown["pictures"] = dg.MetadataValue.md(pictures)
        return shown

    def _own_columns(self) -> list[str]:
        """What the pipeline reads and writes: shown of the widest rows too."""
        of = self._pipeline
        named = (of.id_key or "id", of.text_key, of.image_key, of.video_key)
        answers = (step.output_key for step in of.steps if step.output_key is not None)
        return [*_OURS, *named, *answers]

    def _pictures_table(self, clips: Previews) -> str | None:
        """Rows of thumbnails and texts, as many as fit."""
        good = (row for row in self._rows if row.get(ERROR) is None)
        told = [cells for row in good if (cells := self._cells(row))][:SAMPLE_ROWS]
        heads = list(dict.fromkeys(head for cells in told for head in cells))
        lines = [line([cell(head) for head in heads]), line(["---"] * len(heads))]
        room = self._room["pictures"]
        for cells in told:
            made = line([_shown(cells.get(head), clips) for head in heads])
            room -= len(made)
            if room < 0:
                break
            lines.append(made)
        return "\n".join(lines) if len(lines) > 2 else None

    def _cells(self, row: Row) -> dict[str, "_Seen | str"]:
        """Heading → medium or text, in the order they were made; none of a row without media."""
        cells = self._result_cells(row) if self._asset == RESULTS else self._step_cells(row)
        return cells if cells.keys() - {"text"} else {}

    def _step_cells(self, row: Row) -> dict[str, "_Seen | str"]:
        """What the step read and wrote; what it made stands last."""
        cells: dict[str, _Seen | str] = {}
        for medium, head in _SOURCES.items():
            path = row.get(current(medium)) if medium in self._media else None
            if path is not None:
                cells[head] = _seen(medium, path)
        text = row.get(current("text"))
        if cells and text is not None and self._asset != RAW_META:
            cells["text"] = text
        made = None if self._step is None else _SOURCES.get(self._step.config.writes)
        return dict(sorted(cells.items(), key=lambda cell: cell[0] == made))

    def _result_cells(self, row: Row) -> dict[str, "_Seen | str"]:
        pipeline = self._pipeline
        columns: dict[Medium, str] = {"image": pipeline.image_key, "video": pipeline.video_key}
        makes = {step.config.writes for step in pipeline.steps}
        cells: dict[str, _Seen | str] = {}
        for medium, head in _SOURCES.items():
            own = columns[medium]
            source = row.get(SOURCE_PREFIX + own if medium in makes else own)
            if (found := _source(medium, source, pipeline)) is not None:
                cells[head] = found
        if isinstance(text := row.get(pipeline.text_key), str):
            cells["text"] = text
        for medium, head in _MADE.items():
            if medium in makes and isinstance(made := row.get(columns[medium]), str):
                cells[head] = _Seen(medium, Layout(pipeline).save_folder / made)
        return cells


def rows_table(
    rows: Sequence[Row], first: Sequence[str] = (), most_bytes: int = MOST_BYTES["rows"]
) -> str:
    """Rows as a markdown table of their plain columns.

    Args:
        rows: A few.
        first: Columns that are shown before others where not all fit.
        most_bytes: Of the table as it is stored; one column is always shown.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row if _is_plain(column)))
    if not columns:
        return "no rows"
    sizes = {
        column: sum(_size(cell(value)) for value in (column, *(row.get(column) for row in rows)))
        for column in columns
    }
    shown = _fitting(sizes, first, most_bytes) or columns[:1]
    told = table(shown, [[row.get(column) for column in shown] for row in rows])
    left = len(columns) - len(shown)
    return f"{told}\n\n{left:,} more columns are not shown" if left else told


def schema(rows: Sequence[Row], first: Sequence[str], most_bytes: int) -> dg.TableSchema:
    """Columns and their types, as the first rows have them; as many as fit."""
    types: dict[str, set[str]] = {}
    for row in rows:
        for column, value in row.items():
            types.setdefault(column, set()).update(_type(value))
    sizes = {name: _size(name) + _size(_OURS.get(name, "")) + _COLUMN_BYTES for name in types}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name, " or ".join(sorted(types[name])) or "null", description=_OURS.get(name)
            )
            for name in _fitting(sizes, first, most_bytes)
        ]
    )


def _fitting(sizes: Mapping[str, int], first: Sequence[str], most_bytes: int) -> list[str]:
    """Columns that fit together, those of `first` before others, in the order of `sizes`."""
    fitting: set[str] = set()
    for column in sorted(sizes, key=lambda name: name not in first):
        if sizes[column] <= most_bytes:
            fitting.add(column)
            most_bytes -= sizes[column]
    return [column for column in sizes if column in fitting]


def _size(text: str) -> int:
    """Bytes of a text as an event holds it: what is not ASCII is escaped."""
    return len(json.dumps(text)) + 2


def _type(value: Any) -> Iterator[str]:
    if value is not None:
        names = {str: "text", dict: "object", list: "list", bool: "bool", float: "float"}
        yield names.get(type(value), type(value).__name__)


def _is_plain(column: str) -> bool:
    newest = {current(medium) for medium in ("text", "image", "video")}
    return not column.startswith(PREFIX) or column in newest


def _source(medium: Medium, value: Any, pipeline: PipelineSpec) -> "_Seen | str | None":
    """A file of this machine, or the URL of one elsewhere, which is named and not fetched."""
    try:
        found = resolve_medium(value, meta_folder(pipeline), Hosts(pipeline.allowed_hosts))
    except RowError:
        return None
    return None if found is None else _seen(medium, found)


def _seen(medium: Medium, path: str) -> "_Seen | str":
    """What is shown of a path or URL: its thumbnail where the platform made it or it is here."""
    here = mirrors.mirrored(path) if is_url(path) else Path(path)
    return path if here is None else _Seen(medium, here)


def _shown(value: "_Seen | str | None", clips: Previews) -> str:
    if not isinstance(value, _Seen):
        return cell(value)
    with mirrors.lent(value.path) as path:
        return thumbnail(path, value.medium, clips)
