"""Files that stand under their name whole or not at all, though the machine loses its power."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: Path) -> Generator[IO[bytes]]:
    """A file to write, which gets the name `path` at the end; after an error nothing is left.

    Killed meanwhile, it leaves ``<name>.part``, which the next who writes `path` writes over.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            sync(file)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """A whole file of bytes that are at hand."""
    with whole(path) as file:
        file.write(content)


def sync(file: IO[bytes]) -> None:
    """See what was written to the disk: a name may be there after a power cut, its bytes not."""
    file.flush()
    os.fsync(file.fileno())
