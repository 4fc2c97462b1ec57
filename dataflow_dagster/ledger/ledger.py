"""A step's earlier answers by key: what resume, retry and re-materialization read."""

from binascii import hexlify
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dataflow_dagster.ledger.answer_file import AnswerFile, good_key
from dataflow_dagster.ledger.earlier import answer_file, earlier_files
from dataflow_dagster.ledger.key_index import KeyIndex, has_others
from dataflow_dagster.ledger.keys import MARK_BYTES, Keys, Origin, read_header
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


class Ledger:
    """Good answers of one step in any of its files under ``base_folder``.

    Wherever they are: finished shards of any split, format and place of the step in the pipeline,
    and what killed runs left. A live run's part is left alone.

    Args:
        base_folder: All steps' folders are in it.
        origin: The step. Files of others are passed by.
        is_needed: Whether answers of another step are some current step's, which now has another
            folder: a file of them that is about to be written over is kept.
    """

    def __init__(
        self,
        base_folder: Path,
        origin: Origin,
        is_needed: Callable[[str], bool] = lambda step: False,
    ) -> None:
        self._base_folder = base_folder
        self._is_needed = is_needed
        self._is_another_step_s = False
        self._origin = origin
        self._own: AnswerFile | None = None
        self._left: list[AnswerFile] = []
        self._left_index: KeyIndex | None = None
        self._cursors: list[_Cursor] = []
        self._files: list[AnswerFile] = []
        self._by_path: dict[Path, AnswerFile] = {}
        self._index: KeyIndex | None = None
        self._open: deque[AnswerFile] = deque()

    def begin(self, target: Shard) -> None:
        """Go to a shard about to be written: most of its answers are in its own files, in order.

        What a killed run left in its ``.part`` was moved to ``.interrupted`` by its new owner.
        """
        self.close()
        found = (answer_file(path, target.folder, self._origin) for path in target.left_paths())
        self._left = [file for file in found if file is not None]
        self._left_index = None
        self._own = self._own_file(target)
        self._is_another_step_s = self._own is None and self._holds_needed(target)
        own = [*self._left, *([] if self._own is None else [self._own])]
        self._cursors = [self._cursor(file, file.keys()) for file in own]

    def unchanged(self, mark: bytes) -> tuple[bytes, bytes] | None:
        """The line made of a line with that mark, and its key, if it comes next; it is taken."""
        for cursor in self._cursors:
            at = cursor.next
            if cursor.marks[at * MARK_BYTES : (at + 1) * MARK_BYTES] == mark:
                digest = cursor.digests[at * KEY_BYTES : (at + 1) * KEY_BYTES]
                line = cursor.file.line(cursor.places[at])
                if line is not None and line.endswith(b"}\n") and hexlify(digest) in line:
                    cursor.next = at + 1
                    return line, bytes(digest)
        return None

    def following(self, digest: bytes) -> Known | None:
        """The answer under a key, if it comes right after the one taken last; it is taken."""
        for cursor in self._cursors:
            at = cursor.next
            if cursor.digests[at * KEY_BYTES : (at + 1) * KEY_BYTES] == digest:
                cursor.next = at + 1
                return Known(cursor.file, cursor.places[at], digest)
        return None

    def search(self, digest: bytes) -> Iterator[Known]:
        """The answers under a key, best first: the shard's own, then the newest of others."""
        if self._left:
            if self._left_index is None:
                self._left_index = _index(self._left, self._base_folder)
            yield from self._found(self._left_index, self._left, digest)
        if self._index is None:
            self._files = self._all_files()
            self._by_path = {file.path: file for file in self._files}
            self._index = _index(self._files, self._base_folder)
        if len(self._index):
            yield from self._found(self._index, self._files, digest)

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

    def holds_others(self, digests: bytes | bytearray) -> bool:
        """Whether the shard's own finished rows have answers under keys not among `digests`."""
        if self._own is None:
            return self._is_another_step_s
        return has_others(self._own.keys(), digests)

    def replaced(self, target: Shard, *, kept: bool) -> None:
        """The shard's rows are new; `kept`: the old ones lie beside them."""
        before, file = target.before_path, self._by_path.pop(target.path, self._own)
        if kept and before in self._by_path:
            self._by_path.pop(before).gone = True
        if file is not None:
            file.gone = not kept
            file.moved(before, before.with_name(before.name + ".keys"))
            self._by_path[before] = file
        self._own = None

    def close(self) -> None:
        """Let go of all files; what was found where stays known."""
        for file in (*self._left, *self._open, *([self._own] if self._own else [])):
            file.close()
        self._open.clear()
        self._cursors = []

    def _own_file(self, target: Shard) -> AnswerFile | None:
        known = self._by_path.get(target.path)
        if known is not None or not target.path.exists():
            return known
        return answer_file(target.path, target.folder, self._origin)

    def _holds_needed(self, target: Shard) -> bool:
        header = read_header(target.keys_path, target.path)
        return header is not None and self._is_needed(header.origin.step)

    def _cursor(self, file: AnswerFile, keys: Keys, following: int = 0) -> "_Cursor":
        marks = keys.marks if file.rows == self._origin.rows else b""
        return _Cursor(file, keys.places, keys.digests, marks, following)

    def _all_files(self) -> list[AnswerFile]:
        own = self._own
        found = earlier_files(self._base_folder, self._origin)
        return [own if own is not None and own.path == file.path else file for file in found]

    def _found(self, index: KeyIndex, files: list[AnswerFile], digest: bytes) -> Iterator[Known]:
        for number, record in index.find(digest):
            file = files[number]
            if file.gone:
                continue
            keys = self._opened(file)
            if record < len(keys) and keys.digest(record) == digest:
                yield Known(file, keys.places[record], digest)

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


def _index(files: list[AnswerFile], folder: Path) -> KeyIndex:
    return KeyIndex([file.keys for file in files], folder)
