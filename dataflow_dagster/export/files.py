"""The numbered files of one export."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from dataflow_dagster.export.destination import Destination
from dataflow_dagster.export.media import MediumFile
from dataflow_dagster.export.request import ExportRequest
from dataflow_dagster.rows import Row


class Writer(Protocol):
    """One file in the making; `size` is about its bytes so far."""

    size: int

    def add(self, row_id: str, row: Row, media: list[MediumFile]) -> None:
        """One row and its files."""
        ...

    def close(self) -> None:
        """The file is whole."""
        ...


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """One file of an export: its name in the folder, its rows."""

    name: str
    rows: int


class FileSeries:
    """Begins the next file where one is full.

    Args:
        folder: Where they go.
        request: Says when a file is full.
        pattern: Their names, such as ``data/train-{:05d}.parquet``.
        writer: Writes one of them.

    Attributes:
        written: Those that are whole.
    """

    def __init__(
        self,
        folder: Destination,
        request: ExportRequest,
        pattern: str,
        writer: Callable[[BinaryIO], Writer],
    ) -> None:
        self._folder = folder
        self._request = request
        self._pattern = pattern
        self._writer = writer
        self._open: Writer | None = None
        self._rows = 0
        self.written: list[WrittenFile] = []

    def add(self, row_id: str, row: Row, media: list[MediumFile]) -> None:
        """One row, into the file that is open."""
        if self._open is None:
            name = self._pattern.format(len(self.written))
            self._open = self._writer(self._folder.open(name))
        self._open.add(row_id, row, media)
        self._rows += 1
        full = self._open.size >= self._request.bytes_per_file
        if full or self._rows >= self._request.rows_per_file:
            self.finish()

    def finish(self) -> None:
        """Close the file that is open, if one is."""
        if self._open is not None:
            self._open.close()
            name = self._pattern.format(len(self.written))
            self.written.append(WrittenFile(name, self._rows))
            self._open, self._rows = None, 0
