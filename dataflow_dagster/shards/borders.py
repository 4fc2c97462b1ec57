"""Where the shards of one file begin: set once, so that rows that are appended move none."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from dataflow_dagster.rows import decode, encode
from dataflow_dagster.shards.writing import part_of, put, sweep
from dataflow_dagster.stores import mirrors


@dataclass(frozen=True, slots=True)
class Borders:
    """The shards of an input.

    Attributes:
        starts: The first row of each shard.
        rows: Rows in all.
        moved: Why they are not where they were before; None: they are.
    """

    starts: tuple[int, ...]
    rows: int
    moved: str | None = None

    def shard(self, at: int) -> range:
        """The row numbers of shard `at` (from 0)."""
        return range(self.starts[at], (*self.starts, self.rows)[at + 1])


def balanced(rows: int, parts: int) -> Borders:
    """Contiguous shards whose sizes differ by one at most."""
    return Borders(tuple(rows * at // parts for at in range(parts)), rows)


def kept_borders(folder: Path, meta_path: str, rows: int, parts: int) -> Borders:
    """The borders saved in ``<folder>/borders.json``; set anew where they cannot hold.

    Rows that were appended belong to the last shard. Borders are set anew for another input or
    number of shards, and where the input has fewer rows than before; they are saved as soon as
    every shard has a row.
    """
    with locked(folder / "borders.lock"):
        mirrors.bring(folder / "borders.json")
        saved = _load(folder / "borders.json")
        same = saved is not None and (saved["meta_path"], saved["shards"]) == (meta_path, parts)
        if saved is not None and same and saved["rows"] <= rows:
            borders = Borders(tuple(saved["starts"]), rows)
        else:
            borders = balanced(rows, parts)
        if rows >= parts and (saved is None or not same or saved["rows"] != rows):
            _save(folder / "borders.json", meta_path, borders)
    if saved is not None and same and saved["rows"] > rows:
        moved = f"{meta_path} has {rows} rows where it had {saved['rows']}: "
        moved += f"the borders of its {parts} shards are set anew"
        return Borders(borders.starts, rows, moved)
    return borders


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Wait until no other process holds the lock at `path`, and hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _load(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        saved = decode(path.read_bytes())
        starts = saved["starts"]
        rising = all(before <= after for before, after in pairwise([0, *starts, saved["rows"]]))
        if rising and len(starts) == saved["shards"] and isinstance(saved["meta_path"], str):
            return saved
    return None


def _save(path: Path, meta_path: str, borders: Borders) -> None:
    """The lock is held: what others left half-made is nobody's any more."""
    said = {
        "meta_path": meta_path,
        "shards": len(borders.starts),
        "rows": borders.rows,
        "starts": borders.starts,
    }
    sweep(path.parent, path.name)
    part = part_of(path)
    part.write_bytes(encode(said))
    put(part, path)
    mirrors.put(path)
