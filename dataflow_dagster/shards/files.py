"""Shards of so many files each: every file is read alone, ids are unique over all of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import Input, base_of, find_input
from dataflow_dagster.formats.lookup import ending, format_of
from dataflow_dagster.formats.pictures import PictureFolder, PictureList
from dataflow_dagster.places import AnyPath, stamp
from dataflow_dagster.rows import fingerprint
from dataflow_dagster.shards.borders import locked
from dataflow_dagster.shards.catalogue import Catalogue
from dataflow_dagster.shards.database import DamagedError
from dataflow_dagster.shards.index import InputIndex, SavedIndex, Say, signature_of
from dataflow_dagster.shards.occurrences import Found, Occurrences
from dataflow_dagster.shards.repeats import Collector
from dataflow_dagster.shards.scan import NameOf, Reading, Scan

T = TypeVar("T")

_AT_ONCE_ROWS: Final = 50_000
_AT_ONCE_SHARDS: Final = 500
"""Of what is found in files so much is held and written together: a second's work."""


class FileGoneError(InputError):
    """A file that a shard was registered with is not there any more."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an input as they are now.

    Attributes:
        base: The folder that holds them.
        names: Their paths relative to `base`, in order; of a folder of pictures, the pictures.
    """

    base: AnyPath
    names: Sequence[str]

    def stamp(self, name: str) -> str:
        """Changes when the file does; empty where it is gone."""
        try:
            return "-".join(map(str, stamp(self.base / name)))
        except OSError:
            return ""


def list_files(meta_path: str, image_key: str) -> Listing:
    """All files at `meta_path`, each of which may be a shard of its own.

    Raises:
        InputError: Nothing is there, or files of several formats are.
    """
    found = find_input(meta_path, image_key)
    base = base_of(meta_path)
    if isinstance(found.format, PictureFolder):
        rows = (row for block in found.format.read(base) for row in block.rows)
        return Listing(base, [row[image_key] for row in rows if isinstance(row, dict)])
    return Listing(base, [str(file).removeprefix(str(base)).lstrip("/") for file in found.files])


class FileShards:
    """Opens the registered shards of an input.

    Every file is read once for the index, however many shards follow; a shard's rows are compared
    with those of all shards registered before it, whether these were asked for or not. Entered, it
    keeps its databases open, which many shards are indexed several times faster by.

    Args:
        reading: How files are read.
        folder: Where the catalogue and what was found in the files are kept.
        name_of: Names rows.
        say: Is told where what was found in the files is damaged and they are read once more.
    """

    def __init__(
        self, reading: Reading, folder: Path, name_of: NameOf, say: Say = lambda what: None
    ) -> None:
        self._say = say
        self._reading = reading
        self._folder = folder
        self._name_of = name_of
        self._base = base_of(reading.meta_path)
        self._catalogue = Catalogue(folder)
        self._occurrences = Occurrences(folder)
        self._read_up_to = 0
        self._stack = ExitStack()

    def __enter__(self) -> "FileShards":
        self._stack.enter_context(self._catalogue.held())
        self._mended(lambda: self._stack.enter_context(self._occurrences.held()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    def read(self, keys: Iterable[str]) -> None:
        """Read the files of these shards, and all before them, where nobody did yet.

        Many at a time, which costs a fraction of one by one. A file that cannot be read is told
        of when its shard is asked for.

        Raises:
            UnknownShardError: No shard has one of the keys.
        """
        last = max((self._catalogue.number(key) for key in keys), default=-1)
        with locked(self._folder / "files.lock"):
            self._mended(lambda: self._read_earlier(last + 1))

    def index(self, key: str) -> InputIndex:
        """The rows of one shard; their numbers count within it.

        Raises:
            UnknownShardError: No shard has this key.
            FileGoneError: A file of the shard is gone.
            InputError: It cannot be read.
        """
        number = self._catalogue.number(key)
        with locked(self._folder / "files.lock"):
            found, signature, rows, repeats = self._mended(lambda: self._compared(number))
        saved = SavedIndex(rows, fingerprint([signature, repeats]))
        ids, names = (self._occurrences.repeats(number, kind) for kind in ("id", "name"))
        return InputIndex(self._reading, found, self._folder, saved, ids, names)

    def _compared(self, number: int) -> tuple[Input, str, int, str]:
        self._read_earlier(number)
        found = self.files(number)
        signature, rows = self._read(number, found)
        return found, signature, rows, self._occurrences.compare(number)

    def _mended(self, ask: Callable[[], T]) -> T:
        """What `ask` gives, with a new file of what was found where the old one is damaged."""
        try:
            return ask()
        except DamagedError as damaged:
            self._say(f"{damaged} and is made anew: the files are read once more")
            self._occurrences.remake()
            self._read_up_to = 0
            return ask()

    def files(self, number: int) -> Input:
        """The files of a shard.

        Raises:
            FileGoneError: One is gone.
        """
        names = self._catalogue.files(number)
        if not names:
            raise FileGoneError(self._base, f"has no shard {number:05d} any more: it was dropped")
        if ending(Path(names[0])) is None:
            return Input(PictureList(self._reading.image_key, names), (self._base,))
        paths = tuple(self._base / name for name in names)
        for path in paths:
            if not path.is_file():
                raise FileGoneError(
                    path,
                    f"is gone; shard {number:05d} was registered with it: put it back, or run"
                    " other shards",
                )
        return Input(format_of(paths[0]), paths)

    def _read_earlier(self, number: int) -> None:
        """Read the shards before this one that nobody asked for yet, so that the first row wins."""
        unread = self._occurrences.unread(range(self._read_up_to, number))
        while unread:
            with ExitStack() as stack:
                found = list(self._scanned(unread, stack))
                if found:
                    self._occurrences.record(found)
        self._read_up_to = max(self._read_up_to, number)

    def _scanned(self, unread: list[int], stack: ExitStack) -> Iterator[Found]:
        """What stands in the next shards, which are taken from `unread`, up to some rows."""
        rows = shards = 0
        while unread and rows < _AT_ONCE_ROWS and shards < _AT_ONCE_SHARDS:
            number = unread.pop(0)
            try:
                files = self.files(number)
                found = self._scan(number, self._signature(files), files, stack)
            except InputError:
                continue  # told when that shard is asked for; it has no rows until then
            yield found
            rows, shards = rows + found.rows, shards + 1

    def _read(self, number: int, found: Input) -> tuple[str, int]:
        """Signature and number of rows; reads the files unless they are known as they are now."""
        signature = self._signature(found)
        known = self._occurrences.read_as(number)
        if known is not None and known[0] == signature:
            return known
        with ExitStack() as stack:
            read = self._scan(number, signature, found, stack)
            self._occurrences.record([read])
        return signature, read.rows

    def _scan(self, number: int, signature: str, files: Input, stack: ExitStack) -> Found:
        """Read the files; what was found stands until `stack` is left."""
        ids, names = (stack.enter_context(Collector(self._folder)) for _ in range(2))
        scan = Scan(self._reading, files, self._name_of)
        scan.run(ids, names, None)
        return Found(number, signature, scan.rows, ids, names)

    def _signature(self, files: Input) -> str:
        return signature_of(self._reading, files, named=True, spooled=False)
