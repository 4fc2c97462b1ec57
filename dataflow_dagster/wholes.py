"""Files that stand under their name whole or not at all, though the machine loses its power."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def whole(path: Path, *, synced: bool = True) -> Generator[IO[bytes]]:
    """A file to write, which gets the name `path` at the end; after an error nothing is left.

    Killed meanwhile, it leaves ``<name>.part``, which the next who writes `path` writes over.

    Args:
        path: Its name.
        synced: False: a power cut may leave it empty, which its readers take for none. Of many
            small shards each sync is felt: it takes milliseconds.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
            if synced:
                sync(file)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes, *, synced: bool = True) -> None:
    """A whole file of bytes that are at hand; as `whole`."""
    with whole(path, synced=synced) as file:
        file.write(content)


def sync(file: IO[bytes]) -> None:
    """See what was written to the disk: a name may be there after a power cut, its bytes not."""
    file.flush()
    os.fsync(file.fileno())
