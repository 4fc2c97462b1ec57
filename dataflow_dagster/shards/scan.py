"""One pass over an input: how many rows, where reading can begin, which ids and names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dataflow_dagster import rows
from dataflow_dagster.formats.format import TEXT_BLOCK_ROWS, Mark
from dataflow_dagster.formats.inputs import Input
from dataflow_dagster.rows import Row, RowError
from dataflow_dagster.shards.repeats import Collector
from dataflow_dagster.shards.spool import SpoolWriter

_MOST_PLACES: Final = 16_384
"""Places kept; of more, every second one goes."""

NameOf = Callable[[Row, str], str | None]
"""A row and its id → what its media are named after; None: it makes none. Raises nothing but
InputError: the input as a whole cannot be used."""


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


class Scan:
    """The one pass over the whole input."""

    def __init__(self, reading: Reading, found: Input, name_of: NameOf | None) -> None:
        self.rows = 0
        self.places: list[tuple[int, int, int, int]] = []
        self._reading = reading
        self._input = found
        self._name_of = name_of

    def run(self, ids: Collector, names: Collector, spool: SpoolWriter | None) -> None:
        """Read everything; `spool` gets the rows too."""
        limit = self._reading.limit
        for file, path in enumerate(self._input.files):
            for block in self._input.format.read(path):
                if limit is not None and self.rows >= limit:
                    return
                given = block.rows[: None if limit is None else limit - self.rows]
                if spool is None:
                    self._note(self.rows, file, block.start)
                else:
                    self._keep(given, spool)
                self._add(given, ids, names)

    def _keep(self, block: list[Row | RowError], spool: SpoolWriter) -> None:
        for at in range(0, len(block), TEXT_BLOCK_ROWS):
            position = spool.add(block[at : at + TEXT_BLOCK_ROWS])
            self._note(self.rows + at, 0, Mark(position, 0))

    def _note(self, number: int, file: int, start: Mark) -> None:
        self.places.append((number, file, start.position, start.line))
        if len(self.places) > _MOST_PLACES:
            del self.places[1::2]

    def _add(self, block: list[Row | RowError], ids: Collector, names: Collector) -> None:
        for row in block:
            own, error = own_id(row, self._reading.id_key)
            own = own or rows.content_id(content(row), 0)
            ids.add(self.rows, own)
            if self._name_of is not None and error is None and isinstance(row, dict):
                name = self._name_of(row, own)
                if name is not None:
                    names.add(self.rows, name.casefold())
            self.rows += 1


def own_id(row: Row | RowError, id_key: str | None) -> tuple[str | None, RowError | None]:
    """The row's own id, if it has one, and why the row cannot be used, if it cannot."""
    if isinstance(row, RowError):
        return None, row
    try:
        return rows.row_id(row, id_key), None
    except RowError as error:
        return None, error


def content(row: Row | RowError) -> Row:
    """What tells rows without an id apart; of a row that cannot be read, why."""
    return {rows.ERROR: row.message} if isinstance(row, RowError) else row
