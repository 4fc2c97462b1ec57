"""One shard's rows on disk, finished or in the making."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from dataflow_dagster.formats import lookup
from dataflow_dagster.ledger.keys import Origin, keys_beside
from dataflow_dagster.ledger.manifest import Manifest, Tally, read_manifest
from dataflow_dagster.rows import Row, RowError, decode
from dataflow_dagster.stores import mirrors

RAW_META_FOLDER = "step_0_preprocess_format"

_BUFFER_BYTES = 1 << 18


class BrokenShardError(Exception):
    """A file the platform wrote itself is missing or damaged; says how to make it anew."""


class NothingToRetryError(Exception):
    """Failed rows are to be tried again in a shard that was not made with today's settings."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of an asset's rows: one Dagster partition, or all rows where there are none.

    Attributes:
        path: The rows: ``.jsonl`` or ``.parquet``. Beside it stand ``.manifest.json`` and a step's
            ``.keys``, and while the shard is being made ``.owner``, ``.part`` (rows in order of
            arrival) and ``.interrupted`` (rows a killed run left behind).
        key: The partition key; None: the asset is not partitioned.
    """

    path: Path
    key: str | None = None

    @property
    def folder(self) -> Path:
        """The step's folder, which media paths in answers are relative to."""
        return self.path.parent if self.key is None else self.path.parent.parent

    @property
    def is_jsonl(self) -> bool:
        """Its rows are lines."""
        return self.path.suffix == ".jsonl"

    @property
    def part_path(self) -> Path:
        """Rows as they arrive; always jsonl."""
        return self.path.with_name(self.path.stem + ".part")

    @property
    def interrupted_path(self) -> Path:
        """Whole rows that killed runs left in their ``.part``; always jsonl."""
        return self.path.with_name(self.path.stem + ".interrupted")

    def before_path(self, step: str) -> Path:
        """Answers of a step that `path` held before, and not now; always jsonl, with keys."""
        name = blake2b(step.encode(), digest_size=8).hexdigest()
        return self.path.with_name(f"{self.path.stem}.{name}.before")

    def left_paths(self) -> list[Path]:
        """Files of answers that runs which did not end left behind, all of them there."""
        pieces = sorted(self.path.parent.glob(f"{self.path.stem}.*.segments"))
        return [path for path in (self.interrupted_path, *pieces) if path.exists()]

    def segment_path(self, asset: str) -> Path:
        """Rows of an asset that runs on other machines left in the store; always jsonl."""
        return self.path.with_name(f"{self.path.stem}.{asset}.segments")

    @property
    def owner_path(self) -> Path:
        """The note of the run that writes the shard, locked by it."""
        return self.path.with_name(self.path.stem + ".owner")

    @property
    def keys_path(self) -> Path:
        """Which answers stand where in the finished rows."""
        return keys_beside(self.path)

    @property
    def manifest_path(self) -> Path:
        """The note beside the finished rows."""
        return self.path.with_name(self.path.stem + ".manifest.json")

    @property
    def review_path(self) -> Path:
        """What was found in the finished rows."""
        return self.path.with_name(self.path.stem + ".review.json")

    def manifest(self) -> Manifest | None:
        """The shard's manifest; None where the shard is not whole."""
        mirrors.bring(self.manifest_path)
        manifest = read_manifest(self.manifest_path)
        if manifest is None:
            return None
        return manifest if mirrors.size(self.path) == manifest.size else None

    def leave_manifest(
        self,
        *,
        fingerprint: str,
        source: str,
        data_version: str,
        tally: Tally,
        engine: Mapping[str, str] | None = None,
        origin: Origin | None = None,
        pipeline: str = "",
    ) -> Manifest:
        """Mark the shard as whole, in its store too; arguments as in `Manifest`."""
        size = self.path.stat().st_size
        step, asset = ("", "") if origin is None else (origin.step, origin.asset)
        manifest = Manifest(
            fingerprint,
            source,
            data_version,
            size,
            tally,
            engine or {},
            step=step,
            asset=asset,
            pipeline=pipeline,
        )
        manifest.write(self.manifest_path)
        self._send()
        return manifest

    def _send(self) -> None:
        """Killed on the way, the next run finds every answer in the store."""
        if mirrors.mirror_of(self.path) is None:
            return
        if mirrors.exists(self.manifest_path):
            manifest = self.manifest_path.read_bytes()
            mirrors.remove(self.manifest_path)
            self.manifest_path.write_bytes(manifest)
        rows = [path for path in (self.path, self.keys_path) if path.exists()]
        mirrors.put(*rows, self.manifest_path)

    def rows(self) -> Iterator[Row]:
        """The rows in order, read as a stream.

        Raises:
            BrokenShardError: The file is missing or a line of it is damaged.
        """
        mirrors.bring(self.path)
        if not self.path.exists():
            raise self.missing()
        yield from self._jsonl_rows() if self.is_jsonl else self._read_rows()

    def lines(self) -> Iterator[bytes]:
        """The rows of a jsonl shard as they stand in it: our own, none longer than memory.

        Raises:
            BrokenShardError: The file is missing.
        """
        mirrors.bring(self.path)
        if not self.path.exists():
            raise self.missing()
        with self.path.open("rb", buffering=_BUFFER_BYTES) as file:
            for line in file:
                if not line.isspace():
                    yield line

    def row_of(self, line: bytes, number: int) -> Row:
        """One of `lines` as a row; `number` counts them from 0.

        Raises:
            BrokenShardError: It is damaged.
        """
        try:
            row = decode(line)
        except ValueError as wrong:
            raise self._damaged(f"line {number + 1}: {wrong}") from wrong
        if not isinstance(row, dict):
            raise self._damaged(f"line {number + 1}: not an object")
        return row

    def _jsonl_rows(self) -> Iterator[Row]:
        """As `_read_rows`, in a third of its time."""
        for number, line in enumerate(self.lines()):
            yield self.row_of(line, number)

    def _read_rows(self) -> Iterator[Row]:
        for row in lookup.read(self.path):
            if isinstance(row, RowError):
                raise self._damaged(row.message)
            yield row

    def missing(self) -> BrokenShardError:
        """To be raised where its rows are not there."""
        where = mirrors.address(self.path)
        return BrokenShardError(f"{where} is missing: materialize the asset above first")

    def _damaged(self, reason: str) -> BrokenShardError:
        where = mirrors.address(self.path)
        return BrokenShardError(f"{where} is damaged ({reason}): delete it and materialize again")


def check_made(shard: Shard, fingerprint: str) -> Manifest:
    """The manifest of a shard whose failed rows can be told from rows that were never tried.

    Raises:
        NothingToRetryError: It is not whole, or was made with other settings.
    """
    manifest = shard.manifest()
    if manifest is not None and manifest.fingerprint == fingerprint:
        return manifest
    reason = "is not done" if manifest is None else "was made with other settings"
    raise NothingToRetryError(
        f"{mirrors.address(shard.path)} {reason}: run it without --retry-failed"
        " (retry_failed) first"
    )


def source_version(shard: Shard) -> str:
    """Tells apart the rows a shard held and holds: its data version, else its size and time.

    Raises:
        BrokenShardError: The file is missing, or no longer what its manifest says.
    """
    size = mirrors.size(shard.path)
    if size is None:
        raise shard.missing()
    mirrors.bring(shard.manifest_path)
    manifest = read_manifest(shard.manifest_path)
    if manifest is not None and manifest.size != size:
        raise BrokenShardError(
            f"{mirrors.address(shard.path)} has {size} bytes where {manifest.size} were written:"
            f" materialize it again, or delete {shard.manifest_path.name} to take it as it is"
        )
    if manifest is not None:
        return manifest.data_version
    mirrors.bring(shard.path)
    return f"{size}-{shard.path.stat().st_mtime_ns}"
