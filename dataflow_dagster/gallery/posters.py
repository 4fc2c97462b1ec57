"""Small pictures of clips beside a page, so that a browser loads no clip before it is played."""

import os
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from dataflow_dagster.decoding.previews import Previews
from dataflow_dagster.media.posters import poster
from dataflow_dagster.rows import RowError, fingerprint

MOST_POSTERS = 100
"""Of one page: as many cards as it shows at first. Of further clips a browser reads the header."""
_MOST_PIXELS = 480 * 270
_QUALITY = 75


class Posters:
    """Posters of one page, in a folder of their own that holds no others; a context.

    Args:
        page: ``<folder>/<name>.html``; its posters lie in ``<folder>/<name>_posters``.
    """

    def __init__(self, page: Path) -> None:
        self._folder = page.with_name(f"{page.stem}_posters")
        self._names: set[str] = set()
        self._previews = Previews(partial(poster, max_pixels=_MOST_PIXELS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._previews.__exit__(kind, raised, trace)

    def poster(self, clip: Path) -> Path | None:
        """The clip's poster, written unless it is there; None: it has none, or others enough."""
        try:
            stat = clip.stat()
            name = f"{fingerprint([str(clip), stat.st_size, stat.st_mtime_ns])}.jpg"
            path = self._folder / name
            if name not in self._names and len(self._names) >= MOST_POSTERS:
                return None
            if not path.exists() and not self._wrote(clip, path):
                return None
        except (OSError, ValueError):
            return None  # the page shows the clip itself, or that it is not there
        self._names.add(name)
        return path

    def sweep(self) -> None:
        """Delete posters that this page no longer has."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            if path.name not in self._names:
                path.unlink(missing_ok=True)
        if not self._names:
            self._folder.rmdir()

    def _wrote(self, clip: Path, path: Path) -> bool:
        picture = self._previews.of(clip)
        if isinstance(picture, RowError):
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            picture.save(part, format="JPEG", quality=_QUALITY)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return True
