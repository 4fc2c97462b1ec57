"""Many files' keys in one sorted table, to find the answers of any key among millions."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from dataflow_dagster.ledger.keys import Keys
from dataflow_dagster.rows import KEY_BYTES

_RECORD_BITS: Final = 40
_MOST_IN_MEMORY: Final = 1 << 20
"""Answers; 16 bytes each. A larger table is in an unnamed file, mapped."""
_BUCKET_BITS: Final = 16

_Table = Any
"""(2, N) of uint64: the keys' first 8 bytes, sorted; file << 40 | record."""


class Place(NamedTuple):
    """One answer's file, by its number, and which of the file's answers it is."""

    file: int
    record: int


class KeyIndex:
    """Sorted once; its cost grows with the number of answers, not with that of files times rows.

    Args:
        keys: Gives each file's keys, in the order in which their answers are to be taken; called
            twice.
        folder: Where a large table lies.
    """

    def __init__(self, keys: Sequence[Callable[[], Keys]], folder: Path) -> None:
        self._first: Any = ()
        if not keys:  # a first run, which may be over before NumPy is imported
            return
        import numpy as np

        counts = [_bucket_counts(read(), 0) for read in keys]
        total = int(sum(count.sum() for count in counts))
        self._table = _sorted(keys, total, _room(total, folder))
        self._first = np.asarray(self._table[0])

    def __len__(self) -> int:
        """How many answers are known, equal keys counted each."""
        return len(self._first)

    def find(self, digest: bytes) -> Iterator[Place]:
        """Where answers of that key may stand, in the order of the files; the row itself tells."""
        import numpy as np

        first = int.from_bytes(digest[:8], "little")
        at = int(np.searchsorted(self._first, np.uint64(first)))
        while at < len(self._first) and int(self._first[at]) == first:
            where = int(self._table[1, at])
            yield Place(where >> _RECORD_BITS, where & ((1 << _RECORD_BITS) - 1))
            at += 1


def others(keys: Keys, digests: bytes | bytearray) -> list[int]:
    """Which of `keys`, by their numbers, are not among `digests` (16 bytes each)."""
    import numpy as np

    these = np.frombuffer(digests, np.uint64)[:: KEY_BYTES // 8]
    return np.flatnonzero(~np.isin(_first_bytes(keys), these)).tolist()


def _room(total: int, folder: Path) -> _Table:
    import numpy as np

    if total <= _MOST_IN_MEMORY:
        return np.empty((2, total), np.uint64)
    with tempfile.TemporaryFile(dir=folder) as file:  # the map keeps it
        return np.memmap(file, np.uint64, "w+", shape=(2, total))


def _sorted(keys: Sequence[Callable[[], Keys]], total: int, table: _Table) -> _Table:
    """`table` filled bucket by bucket, so that no more than one bucket is in memory."""
    import numpy as np

    bits = (total >> _BUCKET_BITS).bit_length()
    counts = np.zeros(1 << bits, np.int64)
    for read in keys:
        counts += _bucket_counts(read(), bits)
    ends = np.cumsum(counts)
    free = ends - counts
    for number, read in enumerate(keys):
        _place(table, free, read(), number, bits)
    for begin, end in zip(ends - counts, ends, strict=True):
        order = np.argsort(table[0, begin:end], kind="stable")
        table[:, begin:end] = table[:, begin:end][:, order]
    return table


def _place(table: _Table, free: Any, keys: Keys, number: int, bits: int) -> None:
    """Put one file's keys where their buckets are free, in their order."""
    import numpy as np

    first = _first_bytes(keys)
    bucket = _buckets(first, bits)
    order = np.argsort(bucket, kind="stable")
    bucket = bucket[order]
    where = free[bucket] + np.arange(len(bucket)) - np.searchsorted(bucket, bucket)
    fits = where < table.shape[1]  # a file that another run replaced since it was counted
    where, order = where[fits], order[fits]
    table[0, where] = first[order]
    table[1, where] = order.astype(np.uint64) | np.uint64(number << _RECORD_BITS)
    free += np.bincount(bucket, minlength=len(free))


def _bucket_counts(keys: Keys, bits: int) -> Any:
    import numpy as np

    return np.bincount(_buckets(_first_bytes(keys), bits), minlength=1 << bits)


def _first_bytes(keys: Keys) -> Any:
    import numpy as np

    return np.frombuffer(keys.digests, np.uint64).reshape(-1, KEY_BYTES // 8)[:, 0]


def _buckets(first: Any, bits: int) -> Any:
    import numpy as np

    if bits == 0:
        return np.zeros(len(first), np.int64)
    return (first >> np.uint64(64 - bits)).astype(np.int64)
