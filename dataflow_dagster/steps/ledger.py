"""A step's earlier answers by key: what resume, retry and re-materialization read."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dataflow_dagster.rows import KEY_BYTES
from dataflow_dagster.steps.answer_file import AnswerFile, good_key
from dataflow_dagster.steps.earlier import answer_file, earlier_files
from dataflow_dagster.steps.key_index import KeyIndex
from dataflow_dagster.steps.keys import Keys, Origin
from dataflow_dagster.steps.shard import Shard

_MOST_OPEN = 8


class Known(NamedTuple):
    """A good answer of an earlier run."""

    file: AnswerFile
    record: int
    place: int
    digest: bytes

    def line_from_key(self) -> bytes | None:
        """The answered row's line from its key on: ``,"dataflow_key":...}``; None: parquet."""
        line = self.file.line(self.place)
        if line is None or not line.endswith(b"}\n"):
            return None
        at = line.rfind(b',"dataflow_key":"%b",' % self.digest.hex().encode())
        return None if at < 0 else line[at:]

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
    """

    def __init__(self, base_folder: Path, origin: Origin) -> None:
        self._base_folder = base_folder
        self._origin = origin
        self._own: AnswerFile | None = None
        self._own_used = 0
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
        self._left = []
        if target.interrupted_path.exists():
            self._left = [AnswerFile(target.interrupted_path, target.folder, self._origin.asset)]
        self._left_index, self._own_used = None, 0
        self._own = self._own_file(target)
        own = [*self._left, *([] if self._own is None else [self._own])]
        self._cursors = [_Cursor(file, file.keys()) for file in own]

    def following(self, digest: bytes) -> Known | None:
        """The answer under a key, if it comes right after the one taken last."""
        for cursor in self._cursors:
            known = cursor.look(digest)
            if known is not None:
                return known
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
        yield from self._found(self._index, self._files, digest)

    def use(self, known: Known) -> None:
        """An answer was taken: the next row's is looked for behind it."""
        self._own_used += known.file is self._own
        for cursor in self._cursors:
            if cursor.file is known.file:
                cursor.next = known.record + 1
                return
        own = len(self._left) + (self._own is not None)
        self._cursors[own:] = [_Cursor(known.file, known.file.keys(), known.record + 1)]

    def holds_unused(self) -> bool:
        """Whether the shard's own finished rows have answers that were not taken."""
        return self._own is not None and self._own_used < len(self._own.keys())

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
                yield Known(file, record, keys.places[record], digest)

    def _opened(self, file: AnswerFile) -> Keys:
        if file not in self._open:
            file.open()
            self._open.append(file)
            if len(self._open) > _MOST_OPEN:
                self._open.popleft().close()
        return file.keys()


class _Cursor:
    """Goes through one file's answers in the order of its rows."""

    def __init__(self, file: AnswerFile, keys: Keys, following: int = 0) -> None:
        self.file = file
        self.next = following
        self._keys = keys

    def look(self, digest: bytes) -> Known | None:
        """The next answer, if it has that key."""
        at, keys = self.next, self._keys
        if keys.digests[at * KEY_BYTES : (at + 1) * KEY_BYTES] != digest:
            return None
        return Known(self.file, at, keys.places[at], digest)


def _index(files: list[AnswerFile], folder: Path) -> KeyIndex:
    return KeyIndex([file.keys for file in files], folder)
