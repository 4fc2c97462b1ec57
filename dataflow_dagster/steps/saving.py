"""Writing pictures and clips beside the engine: each is there before the line that names it."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from dataflow_dagster.engines.session import Answer
from dataflow_dagster.media.clips import write_clip
from dataflow_dagster.media.pictures import is_blank, write_picture
from dataflow_dagster.rows import Medium, Row, RowError, answer_column
from dataflow_dagster.steps.inputs import Work
from dataflow_dagster.steps.pictures import (
    bytes_digest,
    file_digest,
    generated_name,
    path_below,
    place_picture,
)
from dataflow_dagster.stores.mirrors import mirror_of

SAVE_AHEAD = 16

BLANK = "blank"
"""Stands in the answer of a picture of one colour, which a check counts."""

Saved = tuple[Work, dict[str, Any] | RowError]
"""An output row and its answer column's value, the medium being on disk."""


class MediumSaver:
    """Saves pictures, or clips, of one step under its media folder, some at once.

    Args:
        folder: ``<step folder>/<asset>``; paths in answers are relative to the step folder.
        pool: Encoders run in it.
        medium: What the step writes.
    """

    def __init__(self, folder: Path, pool: Executor, medium: Medium = "image") -> None:
        self._folder = folder
        self._medium: Medium = medium
        self._column = answer_column(folder.name)
        self._pool = pool
        self._mirror = mirror_of(folder)
        self._saving: deque[tuple[Work, Future[dict[str, Any] | RowError]]] = deque()

    def __len__(self) -> int:
        """How many media were begun and not given yet."""
        return len(self._saving)

    def save(self, work: Work, answer: Answer) -> Iterator[Saved]:
        """Begin to save one medium; gives those that are on disk by now, as `saved`.

        Raises:
            OSError: The disk is full or read-only: no fault of the row.
        """
        self._saving.append((work, self._pool.submit(self._save, work.row, answer)))
        yield from self.saved()

    def saved(self) -> Iterator[Saved]:
        """Media that are on disk by now; waits only while too many are not."""
        yield from self._done(SAVE_AHEAD)

    def finish(self) -> Iterator[Saved]:
        """Wait for all that are not on disk yet."""
        yield from self._done(0)

    def address_of(self, answer: dict[str, Any]) -> str:
        """Path or URL of the medium of an answer."""
        path = self.path_of(answer)
        return str(path) if self._mirror is None else self._mirror.address(path)

    def path_of(self, answer: dict[str, Any]) -> Path:
        """Where it is written on this machine; of a store's, nothing is left there."""
        return self._folder.parent / answer[self._medium]

    def taken_over(self, row: Row, answer: dict[str, Any], folder: Path) -> dict[str, Any] | None:
        """An earlier answer as this row's own, its medium lying where this row's belongs.

        Args:
            row: Names the medium.
            answer: The earlier answer.
            folder: The step folder that its medium's path is relative to.

        Returns:
            None: the medium is gone, or no longer what was made.
        """
        name = generated_name(row, self._medium)
        own = {**answer, self._medium: f"{self._folder.name}/{name}"}
        earlier, place = folder / answer[self._medium], self.path_of(own)
        if self._digest(place) == answer["digest"]:
            return own
        if earlier == place or self._digest(earlier) != answer["digest"]:
            return None
        if self._mirror is not None:
            self._mirror.copy(earlier, place, self._mirror)
            return own
        try:
            place_picture(earlier, path_below(self._folder, name))
        except RowError:
            return None
        return own

    def _digest(self, path: Path) -> str | None:
        if self._mirror is None:
            return file_digest(path)
        content = self._mirror.read(path)
        return None if content is None else bytes_digest(content)

    def holds_all(self, rows: Iterator[Row]) -> bool:
        """Whether every medium that `rows` name is still there; their bytes are not read.

        Of a store that is not asked: it would take as many questions as there are rows.
        """
        if self._mirror is not None:
            return True
        answers = (row.get(self._column) for row in rows)
        return all(answer is None or self.path_of(answer).is_file() for answer in answers)

    def _done(self, ahead: int) -> Iterator[Saved]:
        while self._saving and (len(self._saving) > ahead or self._saving[0][1].done()):
            work, future = self._saving.popleft()
            yield work, future.result()

    def _save(self, row: Row, answer: Answer) -> dict[str, Any] | RowError:
        name = generated_name(row, self._medium)
        try:
            path = path_below(self._folder, name)
            _write(answer, path)
        except RowError as error:
            return error
        digest = file_digest(path)
        if self._mirror is not None:
            self._mirror.send(path)
            path.unlink()
        return {
            self._medium: f"{self._folder.name}/{name}",
            "digest": digest,
            **({BLANK: True} if answer.picture and is_blank(answer.picture) else {}),
            **answer.details,
        }


def _write(answer: Answer, path: Path) -> None:
    """Write beside other threads, one of which may have made a folder of that name just now.

    Raises:
        RowError: ``name_taken``.
    """
    try:
        if answer.clip is not None:
            write_clip(answer.clip, path)
        elif answer.picture is not None:
            write_picture(answer.picture, path)
        else:
            raise TypeError("only pictures and clips are saved")
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as taken:
        said = f"{path} is a file for one row and a folder for another"
        raise RowError("name_taken", said) from taken
