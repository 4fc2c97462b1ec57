"""A shard's earlier answers by key: what resume, retry and re-materialization read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataflow_dagster.formats import lookup
from dataflow_dagster.rows import ERROR, KEY, Row, RowError, answer_column, decode, encode
from dataflow_dagster.steps.shard import Shard


class Ledger:
    """Good answers of one step that stand in a shard's finished and interrupted rows.

    Args:
        shard: The shard about to be written anew; read before its ``.part`` is opened.
        asset: The step's asset, whose answers are wanted.
    """

    def __init__(self, shard: Shard, asset: str) -> None:
        self._column = answer_column(asset)
        self._answers: dict[str, bytes] = {}
        for row in _earlier_rows(shard):
            self._remember(row)

    def __len__(self) -> int:
        """How many answers are known."""
        return len(self._answers)

    def find(self, key: str) -> dict[str, Any] | None:
        """The answer column's value under `key`, or None."""
        answer = self._answers.get(key)
        return None if answer is None else decode(answer)

    def _remember(self, row: Row) -> None:
        key, answer = row.get(KEY), row.get(self._column)
        if key is not None and answer is not None and row.get(ERROR) is None:
            self._answers[key] = encode(answer)


def _earlier_rows(shard: Shard) -> Iterator[Row]:
    if shard.path.exists():
        yield from _good_rows(lookup.read(shard.path))
    for path in (shard.interrupted_path, shard.part_path):
        if path.exists():
            yield from _lines(path)


def _good_rows(rows: Iterator[Row | RowError]) -> Iterator[Row]:
    return (row for row in rows if not isinstance(row, RowError))


def _lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):  # a killed run may leave half a line at the end
                yield decode(line)
