"""What an export was asked for, and why it cannot be made."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["webdataset", "hf", "parquet"]
Which = Literal["newest", "source", "both", "none"]

MIB = 1 << 20


class ExportError(Exception):
    """Nothing was exported; the message names what stands in the way, and what to do."""


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """How the rows of ``results`` are to leave.

    Attributes:
        kind: What reads them later.
        which: Whose pictures and videos go along: what ``results`` shows, what the user gave, both.
        failed: Rows that failed go along, with their error.
        columns: Only these columns of the rows, in this order; None: all.
        embed: Parquet alone: files' bytes in a column, not only their paths.
        rows_per_file: Most rows of one file.
        bytes_per_file: A file ends after the row with which it reaches this size.
        overwrite: An earlier export at the same place may be replaced.
    """

    kind: Kind
    which: Which = "newest"
    failed: bool = False
    columns: tuple[str, ...] | None = None
    embed: bool = False
    rows_per_file: int = 10_000
    bytes_per_file: int = 1024 * MIB
    overwrite: bool = False
