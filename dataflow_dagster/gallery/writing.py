"""Putting a page in its place, whole or not at all."""

import os
from pathlib import Path

from dataflow_dagster.stores.mirrors import mirror_of


def template(name: str) -> str:
    """One of the files beside this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` in one step, also where other runs do the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def put_page(path: Path, folder: Path) -> None:
    """Send a page, and the files of the folder it loads further rows from, to their store."""
    mirror = mirror_of(path)
    if mirror is None:
        return
    own = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in own:
        mirror.send(file)
    names = {file.name for file in own}
    mirror.delete([folder / name for name in mirror.folder(folder) if name not in names])
    mirror.put(path)


def filled(text: str, values: dict[str, str]) -> str:
    """`text` with each ``{name}`` in it replaced once; braces in values mean nothing."""
    parts = [text]
    for name, value in values.items():
        mark = "{" + name + "}"
        before, found, after = parts[-1].partition(mark)
        if not found:
            raise ValueError(f"the template lacks {mark}")
        parts[-1:] = [before, value, after]
    return "".join(parts)
