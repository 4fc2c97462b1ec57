"""The user's input → shards: contiguous parts of its rows, each read without reading the others."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, Final

from dataflow_dagster import rows
from dataflow_dagster.formats.format import BEGINNING, InputError, Mark
from dataflow_dagster.formats.inputs import Input, find_input
from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.formats.pictures import PictureFolder, PictureList
from dataflow_dagster.places import stamp
from dataflow_dagster.rows import Numbered, Row, RowError
from dataflow_dagster.shards.borders import Borders, balanced, kept_borders, locked
from dataflow_dagster.shards.repeats import Collector, Finder, Repeats
from dataflow_dagster.shards.scan import NameOf, Reading, Scan, content, own_id
from dataflow_dagster.shards.spool import SpoolWriter, read_spool
from dataflow_dagster.wholes import write_whole

_VERSION: Final = 3
"""To be raised when the same input comes to give another index."""


Say = Callable[[str], None]


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
class SavedIndex:
    """What an index is made of.

    Attributes:
        rows: How many rows there are, unreadable ones included.
        signature: Equal for equal files (path, size, time) read in the same way.
        places: Where reading can begin: number, file, position, line.
        spool: What is read in place of the files.
    """

    rows: int
    signature: str
    places: Sequence[Sequence[int]] = ((0, 0, 0, 0),)
    spool: Path | None = None


class InputIndex:
    """Number of rows, places where reading can begin, and what repeats; made by `open_index`.

    Attributes:
        rows: How many rows there are, unreadable ones included.
        signature: Equal for equal files (path, size, time) read in the same way.
    """

    def __init__(
        self,
        reading: Reading,
        found: Input,
        folder: Path,
        saved: SavedIndex,
        ids: Finder,
        names: Finder,
    ) -> None:
        self.rows = saved.rows
        self.signature = saved.signature
        self._reading = reading
        self._input = found
        self._folder = folder
        self._ids = ids
        self._names = names
        self._spool = saved.spool
        self._borders = balanced(self.rows, 1)
        self._begins = array("q", (place[0] for place in saved.places))
        self._places = array("q", chain.from_iterable(saved.places))

    def shard(self, at: int, of: int) -> range:
        """The row numbers of shard `at` (from 0) of `of`.

        Sizes differ by one at most; rows that were appended since belong to the last shard.

        Raises:
            ValueError: There is no such shard.
        """
        if not 0 <= at < of:
            raise ValueError(f"shard {at} of {of}: shards are numbered 0 to {of - 1}")
        return self.borders(of).shard(at)

    def borders(self, of: int) -> Borders:
        """Where the `of` shards begin; kept beside the index until `of` changes."""
        if len(self._borders.starts) != of:
            meta_path = self._reading.meta_path
            self._borders = kept_borders(self._folder, meta_path, self.rows, of)
        return self._borders

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
        own, error = own_id(row, self._reading.id_key)
        repeat = self._ids.find(numbered.number)
        taken = self._names.find(numbered.number) is not None
        if repeat is None:
            return Identity(own or rows.content_id(content(row), 0), error, taken)
        if own is None:
            return Identity(rows.content_id(content(row), repeat.occurrence), error, taken)
        where = "" if repeat.shard is None else f" of shard {repeat.shard:05d}"
        message = f"id '{own}' stands in row {repeat.first + 1}{where} already; ids are unique"
        unique = _unlike_any(own, repeat.occurrence)
        return Identity(unique, RowError("repeated_id", message), taken)

    def name_is_taken(self, number: int) -> bool:
        """An earlier row has this row's name, whatever the case of letters."""
        return self._names.find(number) is not None

    def _blocks(self, start: int) -> Iterator[tuple[int, list[Row | RowError]]]:
        at = bisect_right(self._begins, start) - 1
        number, file, position, line = self._places[4 * at : 4 * at + 4]
        for block in self._read_from(file, Mark(position, line)):
            yield number, block
            number += len(block)

    def _read_from(self, file: int, mark: Mark) -> Iterator[list[Row | RowError]]:
        if self._spool is not None:
            yield from read_spool(self._spool, mark.position)
            return
        for path in self._input.files[file:]:
            yield from (block.rows for block in self._input.format.read(path, mark))
            mark = BEGINNING


def open_index(
    reading: Reading,
    folder: Path,
    name_of: NameOf | None = None,
    *,
    sharded: bool = False,
    say: Say = lambda what: None,
) -> InputIndex:
    """The input's index, saved in `folder` and made anew only when input or reading changed.

    Several processes that ask at once wait for the one that makes it.

    Args:
        reading: What is read, and how.
        folder: Where the index is kept.
        name_of: Names rows, so that equal names are found.
        sharded: Reading is to begin anywhere; a file in which it cannot is spooled on the way.
        say: Is told where an index is damaged.

    Raises:
        InputError: There is no such input, or it cannot be read.
    """
    found = find_input(reading.meta_path, reading.image_key)
    spooled = sharded and _begins_at_start(found)
    signature = signature_of(reading, found, named=name_of is not None, spooled=spooled)
    saved = _load(folder, signature, say)
    if saved is None:
        with locked(folder / "index.lock"):
            saved = _load(folder, signature, lambda what: None)
            if saved is None:
                scan = Scan(reading, found, name_of)
                saved = _build(scan, _Kept(folder, signature), spooled=spooled)
    kept = _Kept(folder, signature)
    spool = kept.spool if spooled else None
    index = SavedIndex(saved["rows"], signature, saved["places"], spool)
    return InputIndex(reading, found, folder, index, Repeats(kept.ids), Repeats(kept.names))


class _Kept:
    """The files of one index."""

    def __init__(self, folder: Path, signature: str) -> None:
        stem = f"index-{signature[:16]}"
        self.folder = folder
        self.signature = signature
        self.about = folder / "index.json"
        self.ids = folder / f"{stem}-ids.npy"
        self.names = folder / f"{stem}-names.npy"
        self.spool = folder / f"{stem}-rows.spool"

    def sizes(self, *, spooled: bool) -> list[int]:
        """Bytes of the files beside `about`; -1: there is none."""
        files = [self.ids, self.names, *([self.spool] if spooled else [])]
        return [path.stat().st_size if path.is_file() else -1 for path in files]

    def forget_others(self) -> None:
        """Remove the files of indexes made before, and what was killed as it made one.

        None is in the making: the index is locked.
        """
        own = {self.ids, self.names, self.spool}
        for ending in ("npy", "spool", "part"):
            for old in self.folder.glob(f"index[-.]*.{ending}"):
                if old not in own:
                    old.unlink(missing_ok=True)


def _unlike_any(own: str, occurrence: int) -> str:
    """The id of a row whose own id an earlier one has; a hash: ``a~1`` may be a row's own id."""
    return f"{own}~{occurrence}~{rows.fingerprint([own, occurrence])[:8]}"


def _load(folder: Path, signature: str, say: Say) -> dict[str, Any] | None:
    """What `_build` saved; None: nothing, for another input or reading, or half lost since."""
    kept = _Kept(folder, signature)
    with suppress(OSError, ValueError):
        saved = json.loads(kept.about.read_bytes())
        if isinstance(saved, dict) and saved.get("signature") == signature:
            if kept.sizes(spooled=len(saved["sizes"]) > 2) == saved["sizes"]:
                return saved
            say(f"the index in {folder} is damaged and is made anew: the input is read once more")
    return None


def _build(scan: "Scan", kept: _Kept, *, spooled: bool) -> dict[str, Any]:
    with (
        Collector(kept.folder) as ids,
        Collector(kept.folder) as names,
        SpoolWriter(kept.spool) if spooled else nullcontext() as spool,
    ):
        scan.run(ids, names, spool)
        ids.save(kept.ids)
        names.save(kept.names)
        if spool is not None:
            spool.save()
    saved = {
        "signature": kept.signature,
        "rows": scan.rows,
        "places": scan.places,
        "sizes": kept.sizes(spooled=spooled),
    }
    write_whole(kept.about, rows.encode(saved))
    kept.forget_others()
    return saved


def _begins_at_start(found: Input) -> bool:
    """To read a row in it, what lies before must be read: all of a .gz, a row group of parquet."""
    packed = any(file.suffix.lower() == ".gz" for file in found.files)
    return packed or isinstance(found.format, Parquet)


def signature_of(reading: Reading, found: Input, *, named: bool, spooled: bool) -> str:
    """Equal for equal files (path, size, time) read in the same way.

    Raises:
        OSError: A file cannot be looked at.
    """
    settings = repr((_VERSION, reading, named, spooled)).encode("utf-8", "surrogatepass")
    digest = blake2b(settings, digest_size=16)
    for line in _stamps(found):
        digest.update(line + b"\n")
    return digest.hexdigest()


def _stamps(found: Input) -> Iterator[bytes]:
    """What tells that the files are the same; of pictures only the names count."""
    for file in found.files:
        if isinstance(found.format, (PictureFolder, PictureList)):
            yield rows.encode(str(file))
            yield from (rows.encode(block.rows) for block in found.format.read(file))
        else:
            yield rows.encode([str(file), *stamp(file)])
