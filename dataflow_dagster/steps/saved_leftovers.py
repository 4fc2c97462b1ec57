"""What earlier runs left beside the results, once all of today's results are made."""

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.stores import mirrors

_OLD_SPLIT = re.compile(
    r"([0-9]{5}-of-[0-9]{5})(\.html|\.jsonl|_failed|_posters)(\.([0-9]+\.)?part)?"
)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that can go.

    Attributes:
        path: Below ``base_folder`` or ``save_folder``.
        why: In a few words.
        size: Bytes that its going frees; 0 where another name of the same file stays.
    """

    path: Path
    why: str
    size: int


@dataclass(frozen=True, slots=True)
class Current:
    """One asset as the pipeline's YAML has it now.

    Attributes:
        shards: Its files, all of them, made or not.
        whole: Every one of them is made, of what the asset above holds now, with today's settings.
        step: What its answers' keys begin with; empty: it answers nothing.
    """

    asset: str
    shards: tuple[Shard, ...]
    whole: bool
    step: str = ""


def saved_leftovers(layout: Layout, results: Current, drawn: Set[str]) -> Iterator[Leftover]:
    """Lists of errors and pages of another split, drawn media that no result names.

    Args:
        layout: Of the pipeline.
        results: Its newest asset.
        drawn: The media that some step's rows name or named, as paths below ``save_folder``; any
            other file there may be the user's.
    """
    keys = {shard.key for shard in results.shards}
    for folder in ("errors", "gallery"):
        for path in mirrors.walk(layout.save_folder / folder):
            top = path.relative_to(layout.save_folder / folder).parts[0]
            of = _OLD_SPLIT.fullmatch(top)
            if of is not None and of[1] not in keys:
                yield leftover(path, "of another split")
    if drawn:
        yield from _media(layout, drawn, results)


def _media(layout: Layout, drawn: Set[str], results: Current) -> Iterator[Leftover]:
    named = {value for shard in results.shards for row in shard.rows() for value in _texts(row)}
    for folder in sorted({name.partition("/")[0] for name in drawn}):
        for path in mirrors.walk(layout.save_folder / folder):
            if path.relative_to(layout.save_folder).as_posix() in drawn - named:
                yield leftover(path, "a picture that no row names")


def _texts(row: dict[str, Any]) -> Iterator[str]:
    """Every text in a row: what an answer overwrote stands there too, under another name."""
    yield from (value for value in row.values() if isinstance(value, str))


def leftover(path: Path, why: str) -> Leftover:
    """A file, with the bytes that its going frees."""
    if mirrors.mirror_of(path) is not None:
        return Leftover(path, why, mirrors.size(path) or 0)
    stat = path.lstat()
    return Leftover(path, why, stat.st_size if stat.st_nlink == 1 else 0)
