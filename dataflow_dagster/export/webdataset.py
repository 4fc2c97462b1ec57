"""WebDataset: tar files in which the files of one row stand together, under one key.

Layout: https://github.com/webdataset/webdataset#the-webdataset-format
"""

import re
import tarfile
from hashlib import blake2b
from io import BytesIO
from typing import BinaryIO, Final

from dataflow_dagster.export.media import MediumFile
from dataflow_dagster.rows import Row, encode

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MARKED: Final = re.compile(r".*_[0-9a-f]{8}")
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]")


class TarWriter:
    """``<key>.jpg``, ``<key>.source.png``, ``<key>.txt``, ``<key>.json``; equal rows, equal bytes.

    Args:
        file: Written from its beginning to its end; closed by `close`.
        text_key: The column that stands alone in ``.txt`` too.
    """

    def __init__(self, file: BinaryIO, text_key: str) -> None:
        self._file = file
        self._tar = tarfile.TarFile.open(mode="w|", fileobj=file, format=tarfile.USTAR_FORMAT)
        self._text_key = text_key
        self.size = 0

    def add(self, row_id: str, row: Row, media: list[MediumFile]) -> None:
        """One sample."""
        key = safe_key(row_id)
        for medium in media:
            kind = "source." if medium.slot.beside else ""
            self._add(f"{key}.{kind}{medium.extension}", medium.content)
        text = row.get(self._text_key)
        if isinstance(text, str):
            self._add(f"{key}.txt", text.encode("utf-8", "replace"))
        self._add(f"{key}.json", encode(row))

    def close(self) -> None:
        """End the archive."""
        self._tar.close()
        self._file.close()

    def _add(self, name: str, content: bytes) -> None:
        about = tarfile.TarInfo(name)  # time, owner and group are 0
        about.size = len(content)
        self._tar.addfile(about, BytesIO(content))
        self.size += len(content) + 1024


def safe_key(row_id: str) -> str:
    """The id, where it is plain; else without what a key may not hold, told apart by its hash.

    A key ends at its first dot, and ``/`` would make folders. Other ids, other keys.
    """
    if _PLAIN.fullmatch(row_id) and not _MARKED.fullmatch(row_id):
        return row_id
    digest = blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{_FORBIDDEN.sub('_', row_id)[:64]}_{digest}"
