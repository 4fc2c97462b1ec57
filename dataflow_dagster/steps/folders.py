"""The folders that a pipeline writes: whether it can, before any work is done."""

import os
from pathlib import Path

from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.stores import mirrors


class UnwritableFolderError(Exception):
    """A folder of this machine cannot be written; names the key of the YAML, and why."""


def check_folder(pipeline: PipelineSpec, key: str) -> None:
    """Hold that ``base_folder`` or ``save_folder`` can be written; nothing is made.

    Raises:
        UnwritableFolderError: It cannot, and why.
        StoreError: The same of a folder in a store.
    """
    folder = mirrors.local(getattr(pipeline, key))
    if mirrors.mirror_of(folder) is not None:
        mirrors.check(folder)
        return
    there = _nearest(folder.absolute())
    reason = None
    if not there.is_dir():
        reason = f"{there} is a file" if there.exists() else f"{there} is a link to nothing"
    elif not os.access(there, os.W_OK | os.X_OK):
        reason = f"{there} may not be written by this user"
    if reason is not None:
        raise UnwritableFolderError(f"{key}: {folder} cannot be written: {reason}")


def _nearest(folder: Path) -> Path:
    """The folder itself, or where it would be made."""
    places = (folder, *folder.parents)
    return next((place for place in places if os.path.lexists(place)), Path("/"))
