"""Preprocess: the user's file, whatever its format, into rows with ids, names and media."""

import time
from typing import Any

from dataflow_dagster.formats.inputs import find_input
from dataflow_dagster.ledger.manifest import Manifest, Tally
from dataflow_dagster.ledger.part import PartWriter, tidy
from dataflow_dagster.ledger.shard import Shard, check_made
from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import AnyPath
from dataflow_dagster.rows import (
    ERROR,
    GIVEN,
    ID,
    NAME,
    Medium,
    Numbered,
    Row,
    RowError,
    current,
    fingerprint,
)
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.shards.index import Identity, InputIndex, open_index
from dataflow_dagster.shards.scan import NameOf, Reading
from dataflow_dagster.steps.embedded import EmbeddedMedia
from dataflow_dagster.steps.inputs import checked_text
from dataflow_dagster.steps.layout import RAW_META, Layout, meta_folder
from dataflow_dagster.steps.outlook import Outlook
from dataflow_dagster.steps.overlap import Written, check_input
from dataflow_dagster.steps.pictures import name_after, told_apart, with_hash
from dataflow_dagster.steps.progress import Progress, Silent
from dataflow_dagster.steps.reserved import check_columns, refused, without_ours
from dataflow_dagster.steps.sources import Sources

CODE_VERSION = 2


def source_media(pipeline: PipelineSpec) -> set[Medium]:
    """The media some step reads from the user's own columns rather than from an earlier step."""
    wanted: set[Medium] = set()
    written: set[Medium] = set()
    for step in pipeline.steps:
        reads: set[Medium] = set()
        if step.input_key is None:
            reads.add(step.config.reads)
        if step.config.reads_too is not None:
            reads.add(step.config.reads_too)
        wanted |= reads - written
        written.add(step.config.writes)
    return wanted


def input_index(pipeline: PipelineSpec, progress: Progress | None = None) -> InputIndex:
    """The index of the pipeline's input: one pass over it, unless it is known from before.

    Raises:
        InputError: ``meta_path`` names no input, or one that cannot be read, or that the pipeline
            would write over.
    """
    check_input(pipeline, find_input(pipeline.meta_path, pipeline.image_key))
    folder = Layout(pipeline).folder(RAW_META)
    sharded = (pipeline.shards or 1) > 1
    say = (progress or Silent()).say
    return open_index(reading_of(pipeline), folder, namer(pipeline), sharded=sharded, say=say)


def reading_of(pipeline: PipelineSpec) -> Reading:
    """All of the pipeline that decides which rows its input has."""
    return Reading(
        meta_path=pipeline.meta_path,
        image_key=pipeline.image_key,
        id_key=pipeline.id_key,
        limit=pipeline.limit,
        naming=f"{CODE_VERSION} {meta_folder(pipeline)} {pipeline.video_key} {_clips(pipeline)}",
    )


def namer(pipeline: PipelineSpec) -> NameOf:
    """Names a row after its picture or clip.

    What it gives raises InputError for a row that names a file which could be drawn over.
    """
    folder, clips, sources = meta_folder(pipeline), _clips(pipeline), Sources(pipeline)
    media = EmbeddedMedia(pipeline)

    def name_of(row: Row, row_id: str) -> str:
        sources.check(row, row_id)  # of all rows, before a run of one shard draws anything
        return told_apart(_name(pipeline, media.with_names(row), folder, row_id), clips=clips)

    return name_of


def _clips(pipeline: PipelineSpec) -> bool:
    """Whether some step draws clips."""
    return any(step.config.writes == "video" for step in pipeline.steps)


class RawMeta:
    """Writes the shards of one pipeline's ``raw_meta``.

    Args:
        pipeline: With its environment resolved.
        index: Of the pipeline's input.
        progress: Is told of rows done.
        outlook: That of the run, where it has a `RawMeta` for each shard; None: it has this one.
    """

    def __init__(
        self,
        pipeline: PipelineSpec,
        index: InputIndex,
        progress: Progress | None = None,
        outlook: Outlook | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._progress: Progress = progress or Silent()
        self._outlook = outlook or Outlook(pipeline, self._progress)
        self._index = index
        self._told = False
        self._folder = meta_folder(pipeline)
        self._hosts = Hosts(pipeline.allowed_hosts)
        self._media = sorted(source_media(pipeline))
        self._embedded = EmbeddedMedia(pipeline)
        self._written = Written(pipeline)
        self._sources = Sources(pipeline)
        self.fingerprint = raw_meta_fingerprint(pipeline)

    def write_shard(
        self,
        target: Shard,
        part: int,
        parts: int,
        *,
        recompute: bool,
        retry_failed: bool = False,
    ) -> Manifest:
        """Write shard `part` (from 0) of `parts`, or find that it stands there already.

        `retry_failed`: its rows stay as they are, whatever the input holds now.

        Raises:
            NothingToRetryError: They stay, and are not there.
            HopelessStepError: Every row of the first few hundred fails for one reason.
        """
        source = f"{self._index.signature}-{part}-{parts}"
        if retry_failed or (not recompute and self._is_done(target, source)):
            return standing(self._pipeline, target, self._progress)
        began = time.monotonic()
        tally = Tally()
        with PartWriter(target) as writer:
            rows = self._rows(part, parts)
            for numbered in self._index.read(rows.start, rows.stop):
                row = self._row(numbered, tally)
                writer.append(tally.rows, row)
                tally.rows += 1
                self._progress.advance(1, int(ERROR in row))
            version = writer.finish(tally.rows)
            tally.seconds = time.monotonic() - began
            return target.leave_manifest(
                fingerprint=self.fingerprint,
                source=source,
                data_version=version,
                tally=tally,
                pipeline=self._pipeline.name,
            )

    def _is_done(self, target: Shard, source: str) -> bool:
        """Whether the shard stands there as it would be written now."""
        manifest = target.manifest()
        if manifest is None or "inside_output" in manifest.tally.kinds:  # a file may be there now
            return False
        if (manifest.fingerprint, manifest.source) != (self.fingerprint, source):
            return False
        self._outlook.proven |= manifest.tally.failed < manifest.tally.rows
        return True

    def _rows(self, part: int, parts: int) -> range:
        borders = self._index.borders(parts)
        if borders.moved is not None and not self._told:
            self._progress.say(borders.moved)
            self._told = True
        return self._index.shard(part, parts)

    def _row(self, numbered: Numbered, tally: Tally) -> Row:
        identity = self._index.identify(numbered)
        given = numbered.row
        if isinstance(given, dict):
            given = self._embedded.taken_out(given)
        row: Row = {} if isinstance(given, RowError) else without_ours(given)
        row[ID] = identity.id
        try:
            self._outlook.look_at_id(row, numbered.number)
            self._place(row, numbered.row, given, identity)
            tally.computed += 1
            self._outlook.proven = True
        except RowError as failure:
            row[ERROR] = failure.as_column(RAW_META)
            if isinstance(given, dict) and (ours := refused(given)):
                row[GIVEN] = {column: given[column] for column in ours}
            tally.count_error(failure.kind)
            self._outlook.failed(failure)
        return row

    def _place(
        self, row: Row, source: Row | RowError, given: Row | RowError, identity: Identity
    ) -> None:
        """Give the row its name and its media; `given` is the source's row, its media taken out.

        Raises:
            RowError: A column holds what is no medium, or is ours by name.
        """
        if identity.error is not None:
            raise identity.error
        if isinstance(source, RowError):
            raise source
        if isinstance(given, RowError):
            raise given
        self._sources.check(given, identity.id)
        check_columns(given)
        row[NAME] = self._own_name(source, identity)
        for medium in self._media:
            value = self._medium(given, medium)
            if value is not None:
                row[current(medium)] = value

    def _own_name(self, given: Row, identity: Identity) -> str:
        """What is drawn for the row is named so."""
        named = self._embedded.with_names(given)
        name = _name(self._pipeline, named, self._folder, identity.id)
        return with_hash(name, identity.id) if identity.name_is_taken else name

    def _medium(self, row: Row, medium: Medium) -> str | None:
        if medium == "text":
            return checked_text(row.get(self._pipeline.text_key), self._pipeline.text_key)
        column = self._pipeline.image_key if medium == "image" else self._pipeline.video_key
        path = resolve_medium(row.get(column), self._folder, self._hosts)
        return None if path is None else self._written.checked(path)


def is_made(pipeline: PipelineSpec, target: Shard) -> bool:
    """Whether the shard is whole and as the pipeline would make it, its input apart."""
    manifest = target.manifest()
    return manifest is not None and manifest.fingerprint == raw_meta_fingerprint(pipeline)


def standing(pipeline: PipelineSpec, target: Shard, progress: Progress) -> Manifest:
    """A shard that stays as it is, whatever the input holds now.

    Raises:
        NothingToRetryError: It is not whole, or was made with other settings.
    """
    manifest = check_made(target, raw_meta_fingerprint(pipeline))
    progress.advance(manifest.tally.rows, manifest.tally.failed)
    tidy(target)
    return manifest.all_reused()


def _name(pipeline: PipelineSpec, row: Row, folder: AnyPath, row_id: str) -> str:
    clip = row.get(pipeline.video_key)
    return name_after(row.get(pipeline.image_key), folder, row_id, clip)


def raw_meta_fingerprint(pipeline: PipelineSpec) -> str:
    """All of the pipeline that decides its raw_meta rows, the input apart."""
    settings: dict[str, Any] = {
        "code_version": CODE_VERSION,
        "keys": [pipeline.image_key, pipeline.text_key, pipeline.video_key, pipeline.id_key],
        "meta_folder": pipeline.meta_folder,
        "media": sorted(source_media(pipeline)),
        **({"hosts": pipeline.allowed_hosts} if pipeline.allowed_hosts else {}),
    }
    return fingerprint(settings)
