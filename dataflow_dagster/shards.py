"""The user's input → shards: contiguous parts of its rows, each read without reading the others."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from dataflow_dagster import rows
from dataflow_dagster.formats.format import BEGINNING, InputError, Mark
from dataflow_dagster.formats.inputs import Input, find_input
from dataflow_dagster.formats.pictures import PictureFolder
from dataflow_dagster.repeats import Collector, Repeats
from dataflow_dagster.rows import Numbered, Row, RowError

_VERSION: Final = 1
"""To be raised when the same input comes to give another index."""
_MOST_PLACES: Final = 32_768
"""Places kept; of more, every second one goes."""

NameOf = Callable[[Row, str], str | None]
"""A row and its id → what its media are named after; None: it makes none. Must not raise."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How an input is read: all that decides which rows there are and what they are called.

    Attributes:
        meta_path: A file, a glob, a folder of metadata files or a folder of pictures.
        image_key: The column in which pictures of a folder stand.
        id_key: The column that identifies a row; None: ``id`` where rows have it.
        limit: Only so many rows; None: all.
        naming: Says how `name_of` names rows; an index made under another naming is made anew.
    """

    meta_path: str
    image_key: str = "image"
    id_key: str | None = None
    limit: int | None = None
    naming: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a row is.

    Attributes:
        id: Unique in the whole input, also where `error` says why the row cannot be used.
        error: It could not be read, has no usable id, or an earlier row has its id.
        name_is_taken: An earlier row has its name (whatever the case of letters).
    """

    id: str
    error: RowError | None = None
    name_is_taken: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the row of this number begins."""

    number: int
    file: int
    mark: Mark


class InputIndex:
    """Number of rows, places where reading can begin, and what repeats; made by `open_index`.

    Attributes:
        rows: How many rows there are, unreadable ones included.
        signature: Equal for equal files (path, size, time) read in the same way.
    """

    def __init__(
        self, reading: Reading, found: Input, saved: dict[str, Any], ids: Repeats, names: Repeats
    ) -> None:
        self.rows: int = saved["rows"]
        self.signature: str = saved["signature"]
        self._id_key = reading.id_key
        self._input = found
        self._ids = ids
        self._names = names
        self._places = [
            _Place(number, file, Mark(position, line))
            for number, file, position, line in saved["places"]
        ]

    def shard(self, at: int, of: int) -> range:
        """The row numbers of shard `at` (from 0) of `of`; sizes differ by one at most.

        Raises:
            ValueError: There is no such shard.
        """
        if not 0 <= at < of:
            raise ValueError(f"shard {at} of {of}: shards are numbered 0 to {of - 1}")
        return range(self.rows * at // of, self.rows * (at + 1) // of)

    def read(self, start: int, stop: int) -> Iterator[Numbered]:
        """Rows `start` to `stop` - 1 in order, each with its number in the whole input.

        Raises:
            InputError: The files changed since the index was made.
        """
        stop = min(stop, self.rows)
        number = start
        if number >= stop:
            return
        for first, block in self._blocks(start):
            for row in block[max(start - first, 0) : max(stop - first, 0)]:
                yield Numbered(number, row)
                number += 1
            if number == stop:
                return
        path = self._input.files[-1]
        raise InputError(path, f"has {number} rows where {self.rows} were found: it changed")

    def identify(self, numbered: Numbered) -> Identity:
        """The row's id, and whether an earlier row of the input has that id or name."""
        row = numbered.row
        own, error = _own_id(row, self._id_key)
        repeat = self._ids.find(numbered.number)
        taken = self._names.find(numbered.number) is not None
        if repeat is None:
            return Identity(own or rows.content_id(_content(row), 0), error, taken)
        if own is None:
            return Identity(rows.content_id(_content(row), repeat.occurrence), error, taken)
        message = f"id '{own}' stands in row {repeat.first + 1} already; ids are unique"
        return Identity(f"{own}~{repeat.occurrence}", RowError("repeated_id", message), taken)

    def name_is_taken(self, number: int) -> bool:
        """An earlier row has this row's name, whatever the case of letters."""
        return self._names.find(number) is not None

    def _blocks(self, start: int) -> Iterator[tuple[int, list[Row | RowError]]]:
        at = bisect_right(self._places, start, key=lambda place: place.number) - 1
        place = self._places[at]
        number, mark = place.number, place.mark
        for file in self._input.files[place.file :]:
            for block in self._input.format.read(file, mark):
                yield number, block.rows
                number += len(block.rows)
            mark = BEGINNING


def open_index(reading: Reading, folder: Path, name_of: NameOf | None = None) -> InputIndex:
    """The input's index, saved in `folder` and made anew only when input or reading changed.

    Raises:
        InputError: There is no such input, or it cannot be read.
    """
    found = find_input(reading.meta_path, reading.image_key)
    signature = _signature(reading, found, named=name_of is not None)
    saved = _load(folder, signature)
    if saved is None:
        saved = _build(reading, found, signature, folder, name_of)
    ids, names = (Repeats(folder / name) for name in _sidecars(signature))
    return InputIndex(reading, found, saved, ids, names)


def _load(folder: Path, signature: str) -> dict[str, Any] | None:
    """What `_build` saved; None: nothing, or for another input or reading."""
    with suppress(OSError, ValueError):
        saved = json.loads((folder / "index.json").read_bytes())
        whole = all((folder / name).is_file() for name in _sidecars(signature))
        if isinstance(saved, dict) and saved.get("signature") == signature and whole:
            return saved
    return None


def _sidecars(signature: str) -> tuple[str, str]:
    return f"index-{signature[:16]}-ids.npy", f"index-{signature[:16]}-names.npy"


def _build(
    reading: Reading, found: Input, signature: str, folder: Path, name_of: NameOf | None
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    with Collector(folder) as ids, Collector(folder) as names:
        scan = _Scan(reading, found, ids, names, name_of)
        scan.run()
        kept = _sidecars(signature)
        ids.save(folder / kept[0])
        names.save(folder / kept[1])
    saved = {"signature": signature, "rows": scan.rows, "places": scan.places}
    part = folder / f"index.json.{uuid4().hex}.part"  # another process may be at the same
    part.write_bytes(rows.encode(saved))
    part.replace(folder / "index.json")
    for old in folder.glob("index-*.npy"):
        if old.name not in kept:
            old.unlink()
    return saved


class _Scan:
    """The one pass over the whole input."""

    def __init__(
        self,
        reading: Reading,
        found: Input,
        ids: Collector,
        names: Collector,
        name_of: NameOf | None,
    ) -> None:
        self.rows = 0
        self.places: list[tuple[int, int, int, int]] = []
        self._reading = reading
        self._input = found
        self._ids = ids
        self._names = names
        self._name_of = name_of

    def run(self) -> None:
        limit = self._reading.limit
        for file, path in enumerate(self._input.files):
            for block in self._input.format.read(path):
                if limit is not None and self.rows >= limit:
                    return
                self._note(file, block.start)
                self._add(block.rows[: None if limit is None else limit - self.rows])

    def _note(self, file: int, start: Mark) -> None:
        self.places.append((self.rows, file, start.position, start.line))
        if len(self.places) > _MOST_PLACES:
            del self.places[1::2]

    def _add(self, block: list[Row | RowError]) -> None:
        for row in block:
            own, error = _own_id(row, self._reading.id_key)
            own = own or rows.content_id(_content(row), 0)
            self._ids.add(self.rows, own)
            if self._name_of is not None and error is None and isinstance(row, dict):
                name = self._name_of(row, own)
                if name is not None:
                    self._names.add(self.rows, name.casefold())
            self.rows += 1


def _own_id(row: Row | RowError, id_key: str | None) -> tuple[str | None, RowError | None]:
    if isinstance(row, RowError):
        return None, row
    try:
        return rows.row_id(row, id_key), None
    except RowError as error:
        return None, error


def _content(row: Row | RowError) -> Row:
    return {rows.ERROR: row.message} if isinstance(row, RowError) else row


def _signature(reading: Reading, found: Input, *, named: bool) -> str:
    settings = repr((_VERSION, reading, named)).encode("utf-8", "surrogatepass")
    digest = blake2b(settings, digest_size=16)
    for line in _stamps(found):
        digest.update(line + b"\n")
    return digest.hexdigest()


def _stamps(found: Input) -> Iterator[bytes]:
    """What tells that the files are the same; of pictures only the names count."""
    for file in found.files:
        if isinstance(found.format, PictureFolder):
            yield rows.encode(str(file))
            yield from (rows.encode(block.rows) for block in found.format.read(file))
        else:
            stamp = file.stat()
            yield rows.encode([str(file), stamp.st_size, repr(stamp.st_mtime)])
