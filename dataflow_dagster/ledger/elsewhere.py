"""What a step's ledger needs of a store, brought before files are looked at: keys, not rows."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from dataflow_dagster.ledger.keys import Origin, header_of
from dataflow_dagster.ledger.ownership import is_owned
from dataflow_dagster.ledger.shard import RAW_META_FOLDER, Shard
from dataflow_dagster.ledger.trail import SENT, bring_pieces
from dataflow_dagster.stores.mirror import Mirror
from dataflow_dagster.stores.mirrors import mirror_of
from dataflow_dagster.stores.store import Found

_HEADER_BYTES = 4096
"""More than the first line of a keys file has."""
_ROWS = (".jsonl", ".parquet", ".before")


def bring_answers(base_folder: Path, origin: Origin) -> None:
    """Of all steps' folders in a store: keys of `origin`, pieces of runs that did not end.

    Rows come when an answer among them is taken (`AnswerFile`); where no keys stand beside them,
    they come at once. Does nothing where `base_folder` is of this machine.
    """
    mirror = mirror_of(base_folder)
    if mirror is None:
        return
    for folder in mirror.folders(base_folder):
        if folder.name.startswith("step_") and folder.name != RAW_META_FOLDER:
            for place in (folder, folder / "result"):
                _bring_of(mirror, place, origin)


def _bring_of(mirror: Mirror, place: Path, origin: Origin) -> None:
    found = mirror.folder(place)
    keys = [place / name for name in found if name.endswith(".keys")]
    heads = zip(keys, mirror.heads(keys, _HEADER_BYTES), strict=True)
    ours = [path for path, head in heads if _is_of(head, origin)]
    rows = [path.with_name(path.name.removesuffix(".keys")) for path in ours]
    mirror.bring_all([*ours, *_without_keys(place, found)])
    for path in rows:
        mirror.drop_stale(path)
    for shard in _left(place, found):
        if not is_owned(shard.owner_path):  # a process here is at it, and has its pieces
            bring_pieces(mirror, shard)


def _is_of(head: bytes, origin: Origin) -> bool:
    line, ended, _ = head.partition(b"\n")
    header = header_of(line + ended) if ended else None
    return header is not None and header.origin.step == origin.step


def _without_keys(place: Path, found: Mapping[str, Found]) -> Iterator[Path]:
    """Rows of a shard whose keys were not sent any more, and its manifest."""
    for name in found:
        path = place / name
        if path.suffix in _ROWS and f"{name}.keys" not in found:
            yield path
            if Shard(path).manifest_path.name in found:
                yield Shard(path).manifest_path


def _left(place: Path, found: Mapping[str, Found]) -> list[Shard]:
    stems = {name.partition(SENT)[0] for name in found if SENT in name}
    return [Shard(place / f"{stem}.jsonl") for stem in sorted(stems)]
