"""Pictures and clips of finished steps put into ``save_folder``, wherever the two folders are."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from dataflow_dagster.ledger.shard import BrokenShardError
from dataflow_dagster.steps.pictures import path_below, place_picture
from dataflow_dagster.stores.mirror import Mirror
from dataflow_dagster.stores.mirrors import address, mirror_of
from dataflow_dagster.wholes import write_whole

_AT_ONCE: Final = 16
_AHEAD: Final = 64


class MediaCopies:
    """Copies media of one shard; between stores, many at once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy")
        self._copying: deque[Future[None]] = deque()

    def __enter__(self) -> "MediaCopies":
        return self

    def __exit__(self, kind: object, error: object, at: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def add(self, made: Path, folder: Path, name: str) -> None:
        """Copy `made` to `name` below `folder`, at the latest when `finish` is called.

        Raises:
            RowError: A link leads out of `folder`, or something else has that name.
            BrokenShardError: `made`, or an earlier one, is gone.
        """
        base, save = mirror_of(made), mirror_of(folder)
        if base is None and save is None:
            _place(made, path_below(folder, name), name)
            return
        saved = folder / name if save is not None else path_below(folder, name)
        self._copying.append(self._pool.submit(_copy, base, made, save, saved, name))
        if len(self._copying) > _AHEAD:
            self._copying.popleft().result()

    def finish(self) -> None:
        """Wait for all.

        Raises:
            BrokenShardError: One is gone.
        """
        while self._copying:
            self._copying.popleft().result()


def _place(made: Path, saved: Path, name: str) -> None:
    try:
        place_picture(made, saved)
    except FileNotFoundError as missing:
        raise _missing(made, name) from missing


def _copy(base: Mirror | None, made: Path, save: Mirror | None, saved: Path, name: str) -> None:
    try:
        if base is not None and save is not None:
            base.copy(made, saved, save)
            return
        content = made.read_bytes() if base is None else base.read(made)
    except FileNotFoundError as missing:
        raise _missing(made, name) from missing
    if content is None:
        raise _missing(made, name)
    if save is not None:
        save.write(saved, content)
    else:
        write_whole(saved, content)


def _missing(made: Path, name: str) -> BrokenShardError:
    asset = name.partition("/")[0]
    return BrokenShardError(f"{address(made)} is missing: materialize '{asset}' again")
