"""The note beside a finished shard: what made it, from what, and how it went."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dataflow_dagster.rows import decode, encode
from dataflow_dagster.wholes import write_whole


@dataclass(slots=True)
class Tally:
    """Rows of one shard by how they ended at this step.

    Attributes:
        rows: All rows written; the sum of the five below.
        computed: Answered now.
        reused: Answered by an earlier run.
        failed: Failed at this step.
        skipped: Left alone: the row has no such medium.
        passed: Failed at an earlier step and passed on untouched.
        kinds: Kind of error → rows that failed of it at this step.
        tokens: Tokens the engine read and wrote, where it counts them.
        seconds: Wall-clock time from the first row to the whole file.
    """

    rows: int = 0
    computed: int = 0
    reused: int = 0
    failed: int = 0
    skipped: int = 0
    passed: int = 0
    kinds: dict[str, int] = field(default_factory=dict[str, int])
    tokens: int = 0
    seconds: float = 0.0

    def count_error(self, kind: str) -> None:
        """Count one more row that failed at this step."""
        self.failed += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def sum_of(tallies: Iterable[Tally]) -> Tally:
    """Several shards' tallies in one."""
    total = Tally()
    for tally in tallies:
        for name in _NUMBERS:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        for kind, count in tally.kinds.items():
            total.kinds[kind] = total.kinds.get(kind, 0) + count
    return total


_NUMBERS = tuple(number.name for number in fields(Tally) if number.name != "kinds")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Written when a shard is whole; a shard without one is read row by row.

    Attributes:
        fingerprint: All of the step that decides its answers.
        source: What the shard was made from: the data version of the shard it read.
        data_version: Hash of the shard's rows; equal rows, equal version.
        size: The rows file's size in bytes, so that a file cut or edited since is noticed.
        engine: Name, version, precision and device of the engine, if the step has one.
        tally: How the rows ended in the run that wrote this shard.
        step: What the keys of its answers begin with; empty: the asset answers nothing.
        asset: Names the column of its answers.
        pipeline: The name of the pipeline that it was made for, so that others leave it alone.
    """

    fingerprint: str
    source: str
    data_version: str
    size: int
    tally: Tally
    engine: Mapping[str, str] = field(default_factory=dict[str, str])
    step: str = ""
    asset: str = ""
    pipeline: str = ""

    def all_reused(self) -> "Manifest":
        """The same shard, found whole by a later run that had nothing to do."""
        old = self.tally
        tally = replace(old, reused=old.reused + old.computed, computed=0, tokens=0, seconds=0.0)
        return replace(self, tally=tally)

    def write(self, path: Path) -> None:
        """Write to `path` in one step: never seen half."""
        write_whole(path, encode(asdict(self)) + b"\n", synced=False)


def read_manifest(path: Path) -> Manifest | None:
    """The manifest at `path`; None where there is none that can be read."""
    try:
        value: dict[str, Any] = decode(path.read_bytes())
        value["tally"] = Tally(**value["tally"])
        return Manifest(**value)
    except (OSError, ValueError, TypeError, KeyError):
        return None
