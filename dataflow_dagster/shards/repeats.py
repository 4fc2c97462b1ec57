"""Which values repeat among millions, told by their hashes in bounded memory."""

import tempfile
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, cast

from dataflow_dagster.wholes import whole

_HELD: Final = 65_536
"""Hashes in memory before they go to disk, and rows whose repeats are in memory when asked."""
_BUCKETS: Final = 64
_HASH_BYTES: Final = 8

_Pairs = Any
"""(N, 2) of uint64: hash, row number."""


class Repeat(NamedTuple):
    """A row whose value an earlier row has."""

    first: int
    """The first row with this value."""
    occurrence: int
    """Rows with this value before this one: 1, 2, ..."""
    shard: int | None = None
    """The shard of files that `first` is a row of; None: the row's own."""


class Finder(Protocol):
    """Knows the rows that repeat an earlier row's value."""

    def find(self, number: int) -> Repeat | None:
        """The earlier rows of the same value as row `number`; None: there are none."""
        ...


class Collector:
    """Takes the values of rows in order and tells which of them an earlier row had.

    Some 1 MB is held, the rest lies in unnamed files. Of 40 million inputs of a million rows, one
    has differing values with equal hashes.

    Args:
        folder: Where the unnamed files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes = bytearray()
        self._numbers = array("Q")
        self._files: list[BinaryIO] = []
        self._stack = ExitStack()

    def __enter__(self) -> "Collector":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, number: int, value: str) -> None:
        """Numbers must grow; not every row must have a value."""
        encoded = value.encode("utf-8", "surrogatepass")
        self._hashes += blake2b(encoded, digest_size=_HASH_BYTES).digest()
        self._numbers.append(number)
        if len(self._numbers) == _HELD:
            self._spill()

    def save(self, path: Path) -> None:
        """One line for each row that repeats a value: number, first, occurrence; by number.

        An array (N, 3) of int64 in numpy's format, written whole or not at all.
        """
        import numpy as np

        found = np.concatenate([_repeats(pairs) for pairs in self._buckets()])
        with whole(path) as file:
            np.save(file, found[np.argsort(found[:, 0], kind="stable")])

    def repeats(self) -> Iterator[list[tuple[int, int, int]]]:
        """Lists of (number, first, occurrence), one for each row that repeats a value."""
        for pairs in self._buckets():
            yield _repeats(pairs).tolist()

    def distinct(self) -> Iterator[tuple[list[int], list[int], list[int]]]:
        """Of each value its hash (64 bits, signed), the first row that has it, and how many do."""
        import numpy as np

        for pairs in self._buckets():
            hashes, at, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
            firsts = pairs[at, 1]
            yield hashes.view(np.int64).tolist(), firsts.tolist(), counts.tolist()

    def _buckets(self) -> Iterator[_Pairs]:
        import numpy as np

        if not self._files:
            yield self._pairs()
            return
        self._spill()
        for file in self._files:
            file.seek(0)
            yield np.frombuffer(file.read(), np.uint64).reshape(-1, 2)

    def _spill(self) -> None:
        pairs = self._pairs()
        self._hashes, self._numbers = bytearray(), array("Q")
        if not self._files:
            self._files = [self._open() for _ in range(_BUCKETS)]
        bucket = pairs[:, 0] % _BUCKETS
        for at, file in enumerate(self._files):
            file.write(pairs[bucket == at].tobytes())

    def _open(self) -> BinaryIO:
        return cast("BinaryIO", self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder)))

    def _pairs(self) -> _Pairs:
        """Those that are held."""
        import numpy as np

        hashes = np.frombuffer(self._hashes, "<u8").astype(np.uint64)
        return np.stack((hashes, np.frombuffer(self._numbers, np.uint64)), axis=1)


class Repeats:
    """What `Collector.save` wrote, looked up by row number; a part of it is in memory.

    Args:
        path: The file. It may be replaced or removed while this stands.
    """

    def __init__(self, path: Path) -> None:
        import numpy as np

        self._all: Any = np.load(path, mmap_mode="r")
        self._window = range(0)
        self._found: dict[int, Repeat] = {}

    def __len__(self) -> int:
        """Rows that repeat an earlier row's value."""
        return len(self._all)

    def find(self, number: int) -> Repeat | None:
        """The earlier rows of the same value; None: there are none."""
        if number not in self._window:
            self._load(number)
        return self._found.get(number)

    def _load(self, number: int) -> None:
        import numpy as np

        begins = number - number % _HELD
        self._window = range(begins, begins + _HELD)
        low, high = np.searchsorted(self._all[:, 0], (begins, begins + _HELD))
        rows = self._all[low:high].tolist()
        self._found = {number: Repeat(first, occurrence) for number, first, occurrence in rows}


def _repeats(pairs: _Pairs) -> Any:
    import numpy as np

    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    hashes, numbers = pairs[:, 0], pairs[:, 1].astype(np.int64)
    begins = np.append(True, hashes[1:] != hashes[:-1])[: len(pairs)]
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    occurrence = np.arange(len(pairs)) - first
    return np.stack((numbers, numbers[first], occurrence), axis=1)[~begins]
