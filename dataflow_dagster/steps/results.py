"""Postprocess: the rows under the user's own keys, their pictures, and the failed rows."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from dataflow_dagster.ledger.manifest import Manifest, Tally
from dataflow_dagster.ledger.part import PartWriter, tidy
from dataflow_dagster.ledger.shard import Shard, source_version
from dataflow_dagster.rows import (
    ERROR,
    GIVEN,
    ID,
    SOURCE_PREFIX,
    Row,
    RowError,
    answer_column,
    encode,
    fingerprint,
)
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.copies import MediaCopies
from dataflow_dagster.steps.layout import RESULTS, Layout
from dataflow_dagster.steps.progress import Progress, Silent
from dataflow_dagster.steps.reserved import without_ours
from dataflow_dagster.stores import mirrors
from dataflow_dagster.wholes import sync

CODE_VERSION = 1


class Results:
    """Writes the shards of one pipeline's ``results`` under its ``save_folder``.

    Args:
        pipeline: With its environment resolved.
        progress: Is told of rows done.
    """

    def __init__(self, pipeline: PipelineSpec, progress: Progress | None = None) -> None:
        self._layout = Layout(pipeline)
        self._pipeline_name = pipeline.name
        self._progress: Progress = progress or Silent()
        self._newest = {
            "text": pipeline.text_key,
            "image": pipeline.image_key,
            "video": pipeline.video_key,
        }
        self._steps = pipeline.steps
        self._columns = [(step, answer_column(step.asset)) for step in pipeline.steps]
        self.fingerprint = results_fingerprint(pipeline)

    def write_shard(self, source: Shard, target: Shard, *, recompute: bool = False) -> Manifest:
        """Write one shard's results and errors, or find that they stand there already.

        Raises:
            OSError: ``save_folder`` cannot be written.
            BrokenShardError: A row or a picture of the asset above is missing.
        """
        version = source_version(source)
        manifest = None if recompute else target.manifest()
        if (
            manifest is not None
            and (manifest.fingerprint, manifest.source) == (self.fingerprint, version)
            and self._files_are_there(source, manifest, self._layout.errors(target.key))
        ):
            self._progress.advance(manifest.tally.rows, manifest.tally.passed)
            tidy(target, _part_of(self._layout.errors(target.key)))
            return manifest.all_reused()
        return self._write(source, target, version)

    def _write(self, source: Shard, target: Shard, version: str) -> Manifest:
        began = time.monotonic()
        tally = Tally()
        errors = self._layout.errors(target.key)
        with (
            PartWriter(target) as part,
            _ErrorList(errors) as failed,
            MediaCopies() as self._copies,
        ):
            for number, row in enumerate(source.rows()):
                part.append(number, self._result(row, tally))
                failed.note(row)
                self._progress.advance(1, int(row.get(ERROR) is not None))
            self._copies.finish()
            data_version = part.finish(tally.rows)
            failed.finish()
            tally.seconds = time.monotonic() - began
            return target.leave_manifest(
                fingerprint=self.fingerprint,
                source=version,
                data_version=data_version,
                tally=tally,
                pipeline=self._pipeline_name,
            )

    def _result(self, row: Row, tally: Tally) -> Row:
        """The row under the user's keys; a picture that cannot be saved is an error of `row`."""
        tally.rows += 1
        failed = row.get(ERROR) is not None
        answers: dict[str, str] = {}
        try:
            for step, value in self._answers(row):
                self._save(step, value)
                answers[self._newest[step.config.writes]] = value
                if step.output_key is not None:
                    answers[step.output_key] = value
            tally.computed += int(not failed)
        except RowError as error:
            if not failed:
                row[ERROR] = error.as_column(RESULTS)
                tally.count_error(error.kind)
        tally.passed += int(failed)
        return under_user_keys(row, answers)

    def _save(self, step: StepSpec, value: str) -> None:
        if step.config.writes == "text":
            return
        made = self._layout.folder(step.asset) / value
        self._copies.add(made, self._layout.save_folder, value)

    def _answers(self, row: Row) -> Iterator[tuple[StepSpec, str]]:
        """Each step's text, or its picture's path relative to ``save_folder``, oldest first."""
        for step, column in self._columns:
            answer = row.get(column)
            if answer is not None:
                yield step, answer[step.config.writes]

    def _files_are_there(self, source: Shard, manifest: Manifest, errors: Path) -> bool:
        if manifest.tally.failed or bool(manifest.tally.passed) != mirrors.exists(errors):
            return False
        if all(step.config.writes == "text" for step in self._steps):
            return True
        if any(map(mirrors.mirror_of, (self._layout.base_folder, self._layout.save_folder))):
            return True  # a store is not asked for each row
        return all(
            _is_copy(self._layout.folder(step.asset) / value, self._layout.save_folder / value)
            for row in source.rows()
            for step, value in self._answers(row)
            if step.config.writes != "text"
        )


def under_user_keys(row: Row, answers: dict[str, str]) -> Row:
    """The user's columns, with `answers` in theirs; what an answer overwrites is kept beside it.

    A failed row carries ``dataflow_error``; no other column of ours is left.
    """
    result = without_ours(row)
    for column, value in answers.items():
        if row.get(column) is not None:
            kept = SOURCE_PREFIX + column
            while kept in result:  # the user's file is itself a result
                kept += "_"
            result[kept] = row[column]
        result[column] = value
    if row.get(ERROR) is not None:
        result[ERROR] = row[ERROR]
    return result


def results_fingerprint(pipeline: PipelineSpec) -> str:
    """All of the pipeline that decides its results, the rows apart."""
    return fingerprint(
        {
            "code_version": CODE_VERSION,
            "keys": [pipeline.image_key, pipeline.text_key, pipeline.video_key],
            "columns": [
                [step.asset, step.config.writes, step.output_key] for step in pipeline.steps
            ],
        }
    )


class _ErrorList:
    """``errors.jsonl``: failed rows with their reason; absent where no row failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = _part_of(path)
        self.count = 0

    def __enter__(self) -> "_ErrorList":
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        return self

    def __exit__(self, kind: object, error: object, at: object) -> None:
        self._part.unlink(missing_ok=True)
        self._file.close()

    def finish(self) -> None:
        """Put the list in its place, before a manifest says that the shard is whole."""
        if self.count:
            sync(self._file)
            self._part.replace(self._path)
            mirrors.put(self._path)
            return
        self._part.unlink()  # while the shard is not whole yet, or a kill would leave it for good
        if mirrors.exists(self._path):
            mirrors.remove(self._path)

    def note(self, row: Row) -> None:
        """Write the row if it failed."""
        error = row.get(ERROR)
        if error is not None:
            self.count += 1
            own = {name: value for name, value in row.items() if name not in (ERROR, GIVEN)}
            given = {**own, **(row.get(GIVEN) or {})}
            self._file.write(encode({"id": row[ID], **error, "row": given}) + b"\n")


def _part_of(errors: Path) -> Path:
    return errors.with_name(errors.name + ".part")


def _is_copy(made: Path, saved: Path) -> bool:
    """Whether a saved picture is still what `place_picture` made of the finished one."""
    try:
        one, other = made.stat(), saved.stat()
    except OSError:
        return False
    times = one.st_size == other.st_size and one.st_mtime_ns == other.st_mtime_ns
    return os.path.samestat(one, other) or times
