"""A step's earlier answers by key: what resume, retry and re-materialization read."""

from binascii import hexlify
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dataflow_dagster.ledger.answer_file import AnswerFile, good_key
from dataflow_dagster.ledger.earlier import answer_file, earlier_files
from dataflow_dagster.ledger.key_index import KeyIndex
from dataflow_dagster.ledger.keys import MARK_BYTES, Keys, Origin
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import KEY, KEY_BYTES

if TYPE_CHECKING:
    from array import array

_MOST_OPEN = 8
_BEFORE_KEY = f',"{KEY}":"'.encode()


class Known(NamedTuple):
    """A good answer of an earlier run."""

    file: AnswerFile
    place: int
    digest: bytes

    def line_from_key(self) -> bytes | None:
        """The answered row's line from its key on: ``,"dataflow_key":...}``; None: parquet."""
        line = self.file.line(self.place)
        if line is None or not line.endswith(b"}\n"):
            return None
        at = line.rfind(_BEFORE_KEY)
        key = line[at + len(_BEFORE_KEY) : at + len(_BEFORE_KEY) + 2 * KEY_BYTES]
        return line[at:] if key == hexlify(self.digest) else None

    def answer(self) -> dict[str, Any] | None:
        """The answer column's value, without the nulls parquet fills in; None: it is gone."""
        row = self.file.row(self.place)
        if row is None or good_key(row, self.file.column) != self.digest:
            return None
        return {name: value for name, value in row[self.file.column].items() if value is not None}


class Unchanged(NamedTuple):
    """Lines of an earlier run that are this run's as they stand.

    Attributes:
        lines: Whole lines, one after another.
        places: Where they begin, counted from anywhere.
        digests: Their keys, 16 bytes each.
    """

    lines: bytes
    places: "array[int]"
    digests: bytes


class Ledger:
    """Good answers of one step in any of its files under ``base_folder``.

    Wherever they are: finished shards of any split, format and place of the step in the pipeline,
    and what killed runs left. A live run's part is left alone.

    Args:
        base_folder: All steps' folders are in it.
        origin: The step. Files of others are passed by.
    """

    def __init__(self, base_folder: Path, origin: Origin) -> None:
        self._base_folder = base_folder
        self._origin = origin
        self._own: AnswerFile | None = None
        self._left: list[AnswerFile] = []
        self._left_index: KeyIndex | None = None
        self._cursors: list[_Cursor] = []
        self._files: list[list[AnswerFile]] = []  # the index's; where one was replaced, two
        self._numbers: dict[Path, int] = {}  # of finished files in `_files`
        self._index: KeyIndex | None = None
        self._open: deque[AnswerFile] = deque()
        self._is_empty: bool | None = None

    def begin(self, target: Shard) -> None:
        """Go to a shard about to be written: most of its answers are in its own files, in order.

        What a killed run left in its ``.part`` was moved to ``.interrupted`` by its new owner.
        """
        self.close()
        self._is_empty = None
        found = (answer_file(path, target.folder, self._origin) for path in target.left_paths())
        self._left = [file for file in found if file is not None]
        self._left_index = None
        self._own = self._own_file(target)
        own = [*self._left, *([] if self._own is None else [self._own])]
        self._cursors = [self._cursor(file, file.keys()) for file in own]

    def unchanged(self, marks: bytes) -> "Unchanged | None":
        """The lines made of lines with these marks, if those come next; they are taken."""
        rows = len(marks) // MARK_BYTES
        for cursor in self._cursors:
            at, end = cursor.next, cursor.next + rows
            if cursor.marks[at * MARK_BYTES : end * MARK_BYTES] == marks:
                digests = bytes(cursor.digests[at * KEY_BYTES : end * KEY_BYTES])
                places = cursor.places[at:end]
                lines = cursor.file.lines(places)
                if lines is not None and _hold(lines, places, digests):
                    cursor.next = end
                    return Unchanged(lines, places, digests)
        return None

    def following(self, digest: bytes) -> Known | None:
        """The answer under a key, if it comes right after the one taken last; it is taken."""
        for cursor in self._cursors:
            at = cursor.next
            if cursor.digests[at * KEY_BYTES : (at + 1) * KEY_BYTES] == digest:
                cursor.next = at + 1
                return Known(cursor.file, cursor.places[at], digest)
        return None

    @property
    def is_empty(self) -> bool:
        """Whether no answer is known, and none need be looked for in this shard."""
        if self._is_empty is None:
            self._is_empty = not (self._cursors or self._left or len(self._all_indexed()))
        return self._is_empty

    def search(self, digest: bytes) -> Iterator[Known]:
        """The answers under a key, best first: the shard's own, then the newest of others."""
        if self._left:
            if self._left_index is None:
                self._left_index = _index(self._left, self._base_folder)
            yield from self._found(self._left_index, [[file] for file in self._left], digest)
        index = self._all_indexed()
        if len(index):
            yield from self._found(index, self._files, digest)

    def knows_any(self) -> bool:
        """Whether there is a good answer of the step at all."""
        return any(len(file.keys()) for file in self._left) or len(self._all_indexed()) > 0

    def use(self, found: Known) -> None:
        """An answer that was searched is taken: the next row's is looked for behind it."""
        keys = found.file.keys()
        following = bisect_left(keys.places, found.place) + 1
        for cursor in self._cursors:
            if cursor.file is found.file:
                cursor.next = following
                return
        own = len(self._left) + (self._own is not None)
        self._cursors[own:] = [self._cursor(found.file, keys, following)]

    def replaced(self, target: Shard) -> None:
        """The shard's rows are new; what they lack of the old ones was kept beside them."""
        self.close()
        paths = target.before_path(self._origin.step), target.path
        found = (answer_file(path, target.folder, self._origin) for path in paths)
        now = [file for file in found if file is not None]
        for path in paths:
            if path in self._numbers:
                self._files[self._numbers[path]] = now
        self._own = None

    def close(self) -> None:
        """Let go of all files; what was found where stays known."""
        for file in (*self._left, *self._open, *([self._own] if self._own else [])):
            file.close()
        self._open.clear()
        self._cursors = []

    def _own_file(self, target: Shard) -> AnswerFile | None:
        if target.path in self._numbers:
            return next(reversed(self._files[self._numbers[target.path]]), None)
        if not target.path.exists():
            return None
        return answer_file(target.path, target.folder, self._origin)

    def _cursor(self, file: AnswerFile, keys: Keys, following: int = 0) -> "_Cursor":
        marks = keys.marks if file.rows == self._origin.rows else b""
        return _Cursor(file, keys.places, keys.digests, marks, following)

    def _all_indexed(self) -> KeyIndex:
        if self._index is None:
            files = self._all_files()
            self._files = [[file] for file in files]
            self._numbers = {file.path: number for number, file in enumerate(files)}
            self._index = _index(files, self._base_folder)
        return self._index

    def _all_files(self) -> list[AnswerFile]:
        own = self._own
        found = earlier_files(self._base_folder, self._origin)
        return [own if own is not None and own.path == file.path else file for file in found]

    def _found(
        self, index: KeyIndex, files: list[list[AnswerFile]], digest: bytes
    ) -> Iterator[Known]:
        for number, record in index.find(digest):
            for file in files[number]:
                keys = self._opened(file)
                at = file.record_of(digest, record)
                if at is not None:
                    yield Known(file, keys.places[at], digest)

    def _opened(self, file: AnswerFile) -> Keys:
        if file not in self._open:
            file.open()
            self._open.append(file)
            if len(self._open) > _MOST_OPEN:
                self._open.popleft().close()
        return file.keys()


@dataclass(slots=True)
class _Cursor:
    """Goes through one file's answers in the order of its rows.

    Attributes:
        marks: Of lines that this run would make the same lines of; empty: not known.
        next: Which of the answers is the next.
    """

    file: AnswerFile
    places: "array[int]"
    digests: bytes | bytearray
    marks: bytes | bytearray
    next: int


def _hold(lines: bytes, places: "array[int]", digests: bytes) -> bool:
    """Whether each line begins at its place, ends there, and holds its key."""
    names = hexlify(digests)
    begins = [place - places[0] for place in places]
    ends = [*begins[1:], len(lines)]
    return all(
        lines.endswith(b"}\n", begin, end)
        and lines.find(names[at : at + 2 * KEY_BYTES], begin, end) > 0
        for at, begin, end in zip(count(0, 2 * KEY_BYTES), begins, ends, strict=False)
    )


def _index(files: list[AnswerFile], folder: Path) -> KeyIndex:
    return KeyIndex([file.keys for file in files], folder)
