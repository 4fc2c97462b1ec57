"""Arrow's values as JSON values."""

import base64
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

from dataflow_dagster import rows
from dataflow_dagster.formats.parquet_types import JSON_MARK
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row, RowError

_PLAIN = (str, int, float, bool, type(None))


def rows_of(batch: Any, path: AnyPath, first: int) -> list[Row | RowError]:
    """The batch's rows; a value that Python cannot hold, such as the year 200000, costs its row.

    Args:
        batch: Columns of equal length.
        path: Named in errors.
        first: The number of its first row in the file, from 0.
    """
    names = batch.schema.names
    columns = [
        _values(field, column) for field, column in zip(batch.schema, batch.columns, strict=True)
    ]
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    return [
        _row(names, values, path, first + at)
        for at, values in enumerate(zip(*columns, strict=True))
    ]


def _row(names: list[str], values: tuple[Any, ...], path: AnyPath, number: int) -> Row | RowError:
    for name, value in zip(names, values, strict=True):
        if isinstance(value, Exception):
            message = f"{path}, row {number + 1}, column '{name}': {value}"
            return RowError("malformed_line", message)
    return dict(zip(names, values, strict=True))


def _values(field: Any, column: Any) -> list[Any]:
    plain: Callable[[Any], Any] = _plain
    if (field.metadata or {}).get(b"dataflow_json") == JSON_MARK[b"dataflow_json"]:
        plain = _from_json
    try:
        return [plain(value) for value in column.to_pylist(maps_as_pydicts="lossy")]
    except Exception:  # noqa: BLE001 - whichever value is to blame is found one by one
        return [_value(column, at, plain) for at in range(len(column))]


def _value(column: Any, at: int, plain: Callable[[Any], Any]) -> Any:
    try:
        return plain(column[at].as_py(maps_as_pydicts="lossy"))
    except Exception as wrong:  # noqa: BLE001 - this is where the row's failure is recorded
        return wrong


def _from_json(value: str | None) -> Any:
    return None if value is None else rows.decode(value)


def _plain(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(child) for child in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
