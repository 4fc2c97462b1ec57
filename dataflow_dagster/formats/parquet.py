"""Parquet: typed columns, read and written a bounded number of rows at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dataflow_dagster import rows
from dataflow_dagster.formats.files import open_raw
from dataflow_dagster.formats.format import (
    BEGINNING,
    BLOCK_BYTES,
    BLOCK_ROWS,
    Block,
    InputError,
    Mark,
)
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.formats.parquet_types import JSON_MARK, kinds, schema
from dataflow_dagster.formats.parquet_values import rows_of
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.wholes import whole

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_GROUP_BLOCKS: Final = 256
"""Blocks held at once when writing: one row group of at most 16,384 rows and some 32 MiB."""


class Parquet:
    """``.parquet``. What JSON lacks becomes text.

    Read: binary as base64; dates, times and timestamps in ISO 8601; decimals with all their digits;
    durations as seconds; maps as objects; columns marked as JSON text as the values they hold.

    Written: a column of one type keeps it; integers among floats become floats where that is
    exact; any other mix is JSON text with `JSON_MARK` on its field. Where a row lacks a column, it
    is null.
    """

    def read(self, path: AnyPath, start: Mark = BEGINNING) -> Iterator[Block]:
        """Rows of all row groups; marks count rows. A damaged row group costs its own rows.

        Raises:
            InputError: The file is missing or no parquet file, or two columns share a name.
        """
        with open_raw(path) as raw:
            file = _open(path, raw)
            begins = 0
            for group in range(file.num_row_groups):
                ends = begins + file.metadata.row_group(group).num_rows
                if ends > start.position:
                    yield from _group(path, file, group, range(begins, ends), start.position)
                begins = ends

    def write(self, path: Path, given: Iterable[Row]) -> int:
        """Rows that can be gone through once: they wait in a jsonl file beside `path`.

        Returns:
            The number of rows.
        """
        waiting = path.with_name(path.name + ".rows.jsonl")
        Jsonl().write(waiting, given)
        try:
            return self.convert(waiting, path)
        finally:
            waiting.unlink()

    def convert(self, jsonl: AnyPath, path: Path) -> int:
        """A finished jsonl file as parquet, gone through twice; memory is that of a row group.

        Returns:
            The number of rows.

        Raises:
            RowError: A line of `jsonl` is no object.
            ValueError: There are rows, but no column in any of them: parquet cannot count those.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = schema(kinds(row for group in _groups(jsonl) for row in group))
        written = 0
        with whole(path) as file, pq.ParquetWriter(file, columns) as writer:
            for group in _groups(jsonl):
                if not columns.names:
                    raise ValueError(f"{jsonl}: rows without any column")
                arrays = [array_of(field, group) for field in columns]
                writer.write_table(pa.Table.from_arrays(arrays, schema=columns))
                written += len(group)
        return written


def _open(path: AnyPath, raw: Any) -> "pq.ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(raw, buffer_size=BLOCK_BYTES)
        names = file.schema_arrow.names
    except (pa.ArrowException, OSError, ValueError) as wrong:  # names may be no UTF-8
        raise InputError(path, f"cannot be read as parquet: {wrong}") from wrong
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(path, f"has the column {', '.join(map(repr, twice))} more than once")
    return file


def _group(
    path: AnyPath, file: "pq.ParquetFile", group: int, numbers: range, start: int
) -> Iterator[Block]:
    import pyarrow as pa

    at = numbers.start
    try:
        for batch in file.iter_batches(_batch_rows(file, group), row_groups=[group]):
            skipped = min(max(start - at, 0), batch.num_rows)
            at += skipped
            if skipped < batch.num_rows:
                yield Block(Mark(at, 0), rows_of(batch.slice(skipped), path, at))
            at += batch.num_rows - skipped
    except (pa.ArrowException, OSError) as broken:
        yield from _lost(path, range(max(at, start), numbers.stop), broken)


def _lost(path: AnyPath, numbers: range, broken: Exception) -> Iterator[Block]:
    """One error for each row, so that the rows after them keep their numbers."""
    for begins in range(numbers.start, numbers.stop, BLOCK_ROWS):
        block = range(begins, min(begins + BLOCK_ROWS, numbers.stop))
        errors: list[Row | RowError] = [
            RowError("malformed_line", f"{path}, row {number + 1}: cannot be read: {broken}")
            for number in block
        ]
        yield Block(Mark(begins, 0), errors)


def _batch_rows(file: "pq.ParquetFile", group: int) -> int:
    about = file.metadata.row_group(group)
    row_bytes = about.total_byte_size // max(about.num_rows, 1) + 1
    return min(max(BLOCK_BYTES // row_bytes, 1), BLOCK_ROWS)


def _groups(jsonl: AnyPath) -> Iterator[list[Row]]:
    blocks = Jsonl().read(jsonl)
    while held := list(islice(blocks, _GROUP_BLOCKS)):
        yield [_good(row) for block in held for row in block.rows]


def _good(row: Row | RowError) -> Row:
    if isinstance(row, RowError):
        raise row
    return row


def array_of(field: Any, group: list[Row]) -> Any:
    """One column of `group`, of the type that `parquet_types.schema` found for it."""
    import pyarrow as pa

    values = [row.get(field.name) for row in group]
    if field.metadata == JSON_MARK:
        values = [None if value is None else rows.encode(value).decode() for value in values]
    return pa.array(values, type=field.type)
