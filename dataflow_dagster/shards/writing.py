"""Small files that are there whole or not at all, also after the machine lost its power."""

import os
from pathlib import Path
from uuid import uuid4


def part_of(path: Path) -> Path:
    """A name to write under, no other writer's."""
    return path.with_name(f"{path.name}.{uuid4().hex}.part")


def put(part: Path, path: Path) -> None:
    """Let what was written stand under its name, once the disk has it."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def sweep(folder: Path, pattern: str) -> None:
    """Remove what killed writers left; nobody else may be writing."""
    for left in folder.glob(f"{pattern}.*.part"):
        left.unlink(missing_ok=True)
