"""What killed runs left of a shard: each of its answers once, however often it was killed."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from dataflow_dagster.ledger.answer_file import row_key
from dataflow_dagster.rows import ERROR, KEY_BYTES, decode
from dataflow_dagster.wholes import sync

_NOTHING = bytes(KEY_BYTES)
"""Stands for a line that need not be kept."""


def keep_interrupted(part: Path, interrupted: Path) -> None:
    """Add to `interrupted`, where the ledger looks, what it lacks of an older `part`.

    Killed on the way, the next run does the same again. 16 bytes a row are in memory.
    """
    if not part.exists() or part.stat().st_size == 0:
        return
    wanted = _lacking(_names(interrupted) if interrupted.exists() else b"", _names(part))
    if not any(wanted):
        return
    with interrupted.open("ab") as kept:
        kept.write(b"\n")  # a run killed right here may have left half a line
        for line, new in zip(_lines(part), wanted, strict=True):
            if new:
                kept.write(line)
        sync(kept)


def _lacking(known: bytes, found: bytes) -> list[bool]:
    """Of each name of `found`, whether it is the first such and not among the `known`."""
    import numpy as np

    known_names, names = (np.frombuffer(text, np.uint64)[::2] for text in (known, found))
    wanted = np.zeros(len(names), bool)
    wanted[np.unique(names, return_index=True)[1]] = True
    wanted &= ~np.isin(names, known_names) & (names != 0)
    return wanted.tolist()


def _names(path: Path) -> bytes:
    return b"".join(map(_name, _lines(path)))


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n") and not line.isspace())


def _name(line: bytes) -> bytes:
    """16 bytes that equal answers share."""
    try:
        row = decode(line)
    except ValueError:
        return _NOTHING
    if not isinstance(row, dict) or row.get(ERROR) is not None:
        return _NOTHING
    return row_key(row) or blake2b(line, digest_size=KEY_BYTES).digest()
