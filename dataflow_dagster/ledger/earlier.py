"""Finding a step's files of earlier answers, wherever under ``base_folder`` they are."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dataflow_dagster.ledger.answer_file import AnswerFile
from dataflow_dagster.ledger.elsewhere import bring_answers
from dataflow_dagster.ledger.keys import Origin, keys_beside, read_header, write_keys
from dataflow_dagster.ledger.manifest import read_manifest
from dataflow_dagster.ledger.ownership import is_owned, read_owner
from dataflow_dagster.ledger.shard import RAW_META_FOLDER, Shard
from dataflow_dagster.stores import mirrors

_FINISHED = (".jsonl", ".parquet", ".before")
_LEFT = (".part", ".interrupted")
_SEGMENTS = ".segments"


def earlier_files(base_folder: Path, origin: Origin) -> list[AnswerFile]:
    """All files with answers of a step, the newest first."""
    bring_answers(base_folder, origin)
    found = [
        (_changed(path), file)
        for folder in base_folder.glob("step_*")
        if folder.name != RAW_META_FOLDER
        for path in shard_files(folder)
        if (file := answer_file(path, folder, origin)) is not None
    ]
    return [file for _, file in sorted(found, key=lambda one: one[0], reverse=True)]


def shard_files(folder: Path) -> Iterator[Path]:
    """All files of a step's shards, whatever the split, format and state."""
    for place in (folder, folder / "result"):
        for name in sorted(mirrors.names(place)):
            if place != folder or name.startswith("result."):
                yield place / name


def answer_file(path: Path, folder: Path, origin: Origin) -> AnswerFile | None:
    """One file's answers; None: it has none of this step, or a live run is writing it."""
    if path.suffix in _FINISHED:
        return _finished(path, folder, origin)
    if path.suffix == _SEGMENTS:
        return AnswerFile(path, folder, path.stem.rpartition(".")[2])
    if path.suffix not in _LEFT:
        return None
    shard = Shard(path)
    if path.suffix == ".part" and is_owned(shard.owner_path):
        return None
    owner = read_owner(shard.owner_path)
    asset = origin.asset if owner is None or not owner.asset else owner.asset
    return AnswerFile(path, folder, asset)


def _finished(path: Path, folder: Path, origin: Origin) -> AnswerFile | None:
    keys_path = keys_beside(path)
    header = read_header(keys_path, path)
    if header is None:
        return _without_keys(path, folder, origin, keys_path) if path.exists() else None
    if header.origin.step != origin.step:
        return None
    return AnswerFile(path, folder, header.origin.asset, header=header, keys_path=keys_path)


def _without_keys(path: Path, folder: Path, origin: Origin, keys_path: Path) -> AnswerFile | None:
    """The keys file is missing, or of other rows: it is made anew from the rows."""
    made = _of_manifest(path)
    if made is None:
        return AnswerFile(path, folder, origin.asset)
    if made.step != origin.step:
        return None
    file = AnswerFile(path, folder, made.asset)
    with suppress(OSError):  # a folder that is read only: its keys are in memory then
        write_keys(keys_path, path, made, file.keys())
        header = read_header(keys_path, path)
        return AnswerFile(path, folder, made.asset, header=header, keys_path=keys_path)
    return file


def origin_of(path: Path) -> Origin | None:
    """Whose answers finished rows are; None: nobody noted it, or they are other rows by now."""
    header = read_header(keys_beside(path), path)
    return _of_manifest(path) if header is None else header.origin


def _of_manifest(path: Path) -> Origin | None:
    manifest = read_manifest(Shard(path).manifest_path)
    if manifest is None or not manifest.step or manifest.size != path.stat().st_size:
        return None
    return Origin(manifest.step, manifest.asset)


def _changed(path: Path) -> float:
    """When it was written; of a file that only its store has, what the store tells."""
    mirror = mirrors.mirror_of(path)
    found = None if mirror is None else mirror.find(path)
    return path.stat().st_mtime_ns / 1e9 if found is None else found.changed
