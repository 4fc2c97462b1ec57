"""File ending → format."""

from collections.abc import Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import Final

from dataflow_dagster.formats.csv import Csv, Tsv
from dataflow_dagster.formats.format import Format, InputError
from dataflow_dagster.formats.json import Json
from dataflow_dagster.formats.jsonl import Jsonl
from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import Row, RowError

FORMATS: Final[dict[str, Format]] = {
    ".csv": Csv(),
    ".tsv": Tsv(),
    ".parquet": Parquet(),
    ".json": Json(),
    ".jsonl": Jsonl(),
    ".ndjson": Jsonl(),
}
ENDINGS: Final = (*FORMATS, *(ending + ".gz" for ending in FORMATS if ending != ".parquet"))


def ending(path: AnyPath) -> str | None:
    """Which of `ENDINGS` the file's name has, whatever its case; None: none of them."""
    name = path.name.lower()
    return next((known for known in ENDINGS if name.endswith(known)), None)


def stem_of(name: str) -> str:
    """The file's name without its folders and endings: ``part-3`` of ``a/part-3.jsonl.gz``."""
    path = PurePosixPath(name)
    known = next((known for known in ENDINGS[::-1] if path.name.lower().endswith(known)), None)
    return path.stem if known is None else path.name[: -len(known)]


def format_of(path: AnyPath) -> Format:
    """The format that the file's name tells.

    Raises:
        InputError: It tells none that is known.
    """
    known = ending(path)
    if known is None:
        raise InputError(path, f"the ending tells no format; allowed: {', '.join(ENDINGS)}")
    return FORMATS[known.removesuffix(".gz")]


def read(path: AnyPath) -> Iterator[Row | RowError]:
    """All rows of one file in order; a record that cannot be read is an error in its place.

    Raises:
        InputError: The file as a whole cannot be read.
    """
    return chain.from_iterable(block.rows for block in format_of(path).read(path))
