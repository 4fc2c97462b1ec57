"""A shard's earlier answers by key: what resume, retry and re-materialization read."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dataflow_dagster.formats import lookup
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.rows import ERROR, KEY, Row, RowError, answer_column, decode, encode
from dataflow_dagster.steps.shard import Shard


class Ledger:
    """Good answers of one step that stand in a shard's finished and interrupted rows.

    Args:
        shard: The shard about to be written anew. What a killed run left in its ``.part`` was
            moved to ``.interrupted`` by whoever locked it. Damaged lines are rows not known.
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
            told = {name: value for name, value in answer.items() if value is not None}
            self._answers[key] = encode(told)  # parquet fills what an answer lacks with null


def _earlier_rows(shard: Shard) -> Iterator[Row]:
    if shard.path.exists():
        with suppress(InputError):  # cut by a dying disk: its rows are answered anew
            yield from _good_rows(lookup.read(shard.path))
    if shard.interrupted_path.exists():
        yield from _good_rows(_interrupted(shard))


def _good_rows(rows: Iterator[Row | RowError]) -> Iterator[Row]:
    return (row for row in rows if not isinstance(row, RowError))


def _interrupted(shard: Shard) -> Iterator[Row | RowError]:
    blocks = Jsonl().read(shard.interrupted_path)
    return (row for block in blocks for row in block.rows)
