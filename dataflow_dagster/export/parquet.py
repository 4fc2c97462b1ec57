"""Parquet for trainers: a Hugging Face dataset, or rows with their files' paths or bytes."""

import json
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from dataflow_dagster.export.media import MediumFile, Slot
from dataflow_dagster.export.request import MIB
from dataflow_dagster.formats.parquet import array_of
from dataflow_dagster.formats.parquet_types import Kind, schema
from dataflow_dagster.rows import Row

_GROUP_ROWS: Final = 10_000
_GROUP_BYTES: Final = 32 * MIB
"""A row group is held in memory, here and by whoever reads one row of it."""

CARD: Final = """\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
---
"""
"""README.md of a Hugging Face dataset: where its rows are."""


class ParquetWriter:
    """One file, written row group by row group; equal rows, equal bytes.

    Args:
        file: Written from its beginning to its end; closed by `close`.
        kinds: Of the rows' own columns.
        slots: Columns that hold files.
        features: Files are pictures and videos to Hugging Face's ``datasets``; else plain bytes.
    """

    def __init__(
        self, file: BinaryIO, kinds: Mapping[str, Kind], slots: list[Slot], *, features: bool
    ) -> None:
        import pyarrow.parquet as pq

        self._file = file
        self._slots = slots
        self._features = features
        self._columns = schema(dict(kinds))
        self._schema = _with_slots(self._columns, slots, features=features)
        self._parquet = pq.ParquetWriter(file, self._schema)
        self._rows: list[Row] = []
        self._media: list[list[MediumFile]] = []
        self._waiting = 0
        self.size = 0

    def add(self, row_id: str, row: Row, media: list[MediumFile]) -> None:
        """One row; its id stands in its own column."""
        texts = sum(len(value) for value in row.values() if isinstance(value, str))
        size = 100 + texts + sum(len(medium.content) for medium in media)
        self._rows.append(row)
        self._media.append(media)
        self._waiting += size
        self.size += size
        if self._waiting >= _GROUP_BYTES or len(self._rows) >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what waits, and the footer."""
        self._flush()
        self._parquet.close()
        self._file.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        arrays = [array_of(field, self._rows) for field in self._columns]
        arrays += [self._files(slot) for slot in self._slots]
        self._parquet.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._media, self._waiting = [], [], 0

    def _files(self, slot: Slot) -> Any:
        import pyarrow as pa

        files = [next((file for file in row if file.slot == slot), None) for row in self._media]
        if not self._features:
            return pa.array([file and file.content for file in files], type=pa.binary())
        values = [file and {"bytes": file.content, "path": file.path.name} for file in files]
        return pa.array(values, type=_file_type())


def bytes_column(slot: Slot) -> str:
    """Where the bytes stand beside the path, in plain parquet."""
    return f"{slot.column}_bytes"


def _with_slots(columns: Any, slots: list[Slot], *, features: bool) -> Any:
    """The schema; what ``datasets`` reads of it says which columns are pictures.

    https://github.com/huggingface/datasets/blob/5.2.0/src/datasets/features/features.py,
    ``Features.from_arrow_schema``
    """
    import pyarrow as pa

    for slot in slots:
        if features:
            columns = columns.append(pa.field(slot.column, _file_type()))
        else:
            columns = columns.append(pa.field(bytes_column(slot), pa.binary()))
    if not features:
        return columns
    told = {slot.column: {"_type": slot.medium.capitalize()} for slot in slots}
    info = json.dumps({"info": {"features": told}}, sort_keys=True)
    return columns.with_metadata({"huggingface": info})


def _file_type() -> Any:
    import pyarrow as pa

    return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
