"""What a downstream asset gets for a step's rows, and how a user's own values become rows."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin

from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.formats.parquet_values import rows_of as batch_rows
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import Row, RowError

if TYPE_CHECKING:
    import pandas as pd


class Shards(Mapping[str | None, Shard]):
    """All shards of an asset that a run works on, by partition key; None: not partitioned."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._shards = {shard.key: shard for shard in shards}

    def __getitem__(self, key: str | None) -> Shard:
        return self._shards[key]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self._shards)

    def __len__(self) -> int:
        return len(self._shards)


def load_as(wanted: Any, shards: list[Shard]) -> Any:
    """The rows of `shards` as an asset's annotation asks for them.

    Args:
        wanted: ``Shards``, ``Shard`` (one partition), ``pa.Table``, ``pd.DataFrame``,
            ``list[dict]`` (partitions one after the other), or a ``dict`` of one of these by
            partition key, each also as ``| None``. Without an annotation: ``list[dict]``.
        shards: In partition order.

    Raises:
        TypeError: The annotation is none of these.
    """
    wanted = _without_none(wanted)
    if wanted is Shards:
        return Shards(shards)
    if get_origin(wanted) is dict and get_args(wanted)[0] is str:
        return {shard.key: load_as(get_args(wanted)[1], [shard]) for shard in shards}
    if wanted is Shard:
        return _only(shards)
    rows = (row for shard in shards for row in shard.rows())
    if wanted in (None, Any, list, object) or get_origin(wanted) is list:
        return list(rows)
    name = f"{getattr(wanted, '__module__', '')}.{getattr(wanted, '__qualname__', wanted)}"
    if name.startswith("pyarrow.") and name.endswith(".Table"):
        return _table(rows)
    if name.startswith("pandas.") and name.endswith(".DataFrame"):
        return _frame(rows)
    raise TypeError(
        f"rows cannot be loaded as {wanted}: annotate the input as Shard, Shards, pa.Table,"
        " pd.DataFrame, list[dict], or a dict[str, ...] of one of these by partition"
    )


def rows_of(value: Any) -> Iterator[Row]:
    """The rows of a value that a user's asset returned: a table, a frame, or rows.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, Shard):
        return value.rows()
    if hasattr(value, "to_batches"):
        return _table_rows(value)
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return _frame_rows(cast("pd.DataFrame", value))
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return _checked_rows(cast("Iterable[Any]", value))
    raise TypeError(
        f"a {type(value).__name__} cannot be written as rows: return a pa.Table, a pd.DataFrame"
        " or a list of dicts"
    )


def _without_none(wanted: Any) -> Any:
    """``X`` for ``X | None`` and ``Optional[X]``."""
    if get_origin(wanted) not in (Union, UnionType):
        return wanted
    rest = [kind for kind in get_args(wanted) if kind is not type(None)]
    return rest[0] if len(rest) == 1 else wanted


def _only(shards: list[Shard]) -> Shard:
    if len(shards) != 1:
        raise TypeError(f"a Shard is one partition, {len(shards)} are asked for: annotate Shards")
    return shards[0]


def _table(rows: Iterator[Row]) -> Any:
    """Columns typed as in a parquet file: what has no type of its own is JSON text."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        Parquet().write(path, rows)
        return pq.read_table(path, memory_map=False)


def _frame(rows: Iterator[Row]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(list(rows))


def _table_rows(table: Any) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=1000):
        for row in batch_rows(batch, Path("table"), 0):
            if isinstance(row, RowError):
                raise row
            yield row


def _frame_rows(frame: "pd.DataFrame") -> Iterator[Row]:
    """Python's own types; what pandas calls missing is null."""
    for row in frame.to_dict(orient="records"):
        yield {str(column): _plain(value) for column, value in row.items()}


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return None if value != value else value.isoformat()  # NaT is not itself
    return None if isinstance(value, float) and value != value else value  # NaN


def _checked_rows(rows: Iterable[Any]) -> Iterator[Row]:
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(f"a row is a dict, given was {str(row)[:80]!r} ({type(row).__name__})")
        yield dict(cast("Mapping[str, Any]", row))
