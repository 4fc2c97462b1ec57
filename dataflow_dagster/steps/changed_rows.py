"""Where the input changed: what was made of lines that are as they were is copied in groups."""

from collections.abc import Callable, Iterator
from typing import Final

from dataflow_dagster.ledger.keys import MARK_BYTES, line_mark
from dataflow_dagster.ledger.ledger import Ledger
from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import Row

GROUP_ROWS: Final = 256
_GROUP_BYTES: Final = 1 << 20


def changed_rows(
    source: Shard, ledger: Ledger | None, part: PartWriter, copied: Callable[[int], None]
) -> Iterator[tuple[int, Row, bytes]]:
    """Rows of a jsonl shard that are new or changed: their numbers, and the marks of their lines.

    Args:
        source: The rows read.
        ledger: Knows what was made of them; None: it is not wanted.
        part: Takes what is copied.
        copied: Is told how many rows were.
    """
    row_of, number = source.row_of, 0
    is_known = ledger is not None and not ledger.is_empty
    for lines in _groups(source.lines()):
        marks = b"".join(map(line_mark, lines))
        if is_known and _copy(ledger, part, number, marks):
            copied(len(lines))
            number += len(lines)
            continue
        singly = 0
        for at, line in enumerate(lines):
            mark = marks[at * MARK_BYTES : (at + 1) * MARK_BYTES]
            if is_known and _copy(ledger, part, number, mark):
                singly += 1
            else:
                yield number, row_of(line, number), mark
            number += 1
        copied(singly)


def _copy(ledger: Ledger | None, part: PartWriter, number: int, marks: bytes) -> bool:
    """Copy the rows made of lines with these marks, if they are known as they stand."""
    known = None if ledger is None else ledger.unchanged(marks)
    if known is not None:
        part.append_lines(number, *known, marks)
    return known is not None


def _groups(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Lines that are looked up together: some hundred, or one very long one."""
    group: list[bytes] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line)
        if len(group) == GROUP_ROWS or size > _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
