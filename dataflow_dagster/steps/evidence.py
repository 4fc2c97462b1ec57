"""Who made the files of a folder: told by the notes that stand beside them, never by names."""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dataflow_dagster.formats.parquet import Parquet
from dataflow_dagster.ledger.earlier import shard_files
from dataflow_dagster.ledger.keys import header_of
from dataflow_dagster.ledger.manifest import read_manifest
from dataflow_dagster.ledger.ownership import read_owner
from dataflow_dagster.ledger.trail import SENT
from dataflow_dagster.rows import answer_column, decode

ROWS = (".jsonl", ".parquet", ".before", ".part", ".interrupted")
BESIDE = (".keys", ".manifest.json", ".review.json", ".owner", ".whole", ".ordered")

_BEFORE = re.compile(r"\.[0-9a-f]{16}\.before(\.keys)?$")
_KEYED = (".jsonl.keys", ".parquet.keys", ".*.before.keys")
_MOST_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Maker:
    """Who made the files of one shard.

    Attributes:
        asset: Names the column of its answers; empty: it answers nothing.
        pipeline: Empty where no note names it.
    """

    asset: str
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the notes in one folder tell.

    Attributes:
        makers: A shard's path without what tells its files apart → who made it.
    """

    makers: Mapping[Path, Maker]

    @property
    def pipelines(self) -> set[str]:
        """The pipelines that are named."""
        return {maker.pipeline for maker in self.makers.values() if maker.pipeline}

    def is_of(self, stem: Path, pipeline: str) -> bool:
        """Whether a shard's files are a pipeline's: nameless ones only where it is alone."""
        maker = self.makers.get(stem)
        if maker is None:
            return False
        return maker.pipeline == pipeline or (not maker.pipeline and self.pipelines <= {pipeline})


def evidence_in(folder: Path) -> Evidence:
    """What stands in a folder of rows, or in its folder ``result`` of shards."""
    stems = {stem_of(path) for path in shard_files(folder)}
    told = {stem: _maker(stem) for stem in stems}
    return Evidence({stem: maker for stem, maker in told.items() if maker is not None})


def stem_of(path: Path) -> Path:
    """A shard's path without what tells its files apart: ``.../00001-of-00004``."""
    name = _BEFORE.sub("", path.name.partition(SENT)[0])
    for ending in (*BESIDE, *ROWS):
        name = name.removesuffix(ending)
    return path.with_name(name)


def named_media(paths: Iterable[Path], asset: str) -> set[str]:
    """The media that the answers of an asset name, in files of rows that may be cut or damaged.

    As answers have them: relative to the step's folder.
    """
    column = answer_column(asset)
    answers = (row.get(column) for path in paths if path.is_file() for row in _rows_in(path))
    return {value for answer in answers for value in _media_of(answer)}


def is_rows(path: Path) -> bool:
    """Whether a shard's file holds rows."""
    return path.suffix in ROWS or (SENT in path.name and not path.name.endswith(BESIDE))


def _media_of(answer: object) -> Iterator[str]:
    if isinstance(answer, dict):
        values = cast("dict[str, object]", answer)
        yield from (v for name in ("image", "video") if isinstance(v := values.get(name), str))


def _maker(stem: Path) -> Maker | None:
    manifest = read_manifest(stem.with_name(stem.name + ".manifest.json"))
    if manifest is not None:
        return Maker(manifest.asset, manifest.pipeline)
    owner = read_owner(stem.with_name(stem.name + ".owner"))
    if owner is not None:
        return Maker(owner.asset)
    keyed = (path for end in _KEYED for path in stem.parent.glob(glob.escape(stem.name) + end))
    asset = next(filter(None, map(_keyed, keyed)), None)
    return None if asset is None else Maker(asset)


def _keyed(path: Path) -> str | None:
    """The asset whose answers a keys file tells of."""
    with suppress(OSError), path.open("rb") as file:
        header = header_of(file.readline(_MOST_HEADER_BYTES))
        return None if header is None else header.origin.asset
    return None


def _rows_in(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        if file.read(4) != b"PAR1":
            file.seek(0)
            yield from _decoded(file)
            return
    for block in Parquet().read(path):
        yield from (row for row in block.rows if isinstance(row, dict))


def _decoded(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(ValueError):
            row = decode(line)
            if isinstance(row, dict):
                yield row
