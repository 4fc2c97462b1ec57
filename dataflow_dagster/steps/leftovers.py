"""What earlier runs left under a pipeline's folders and no current step can use."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataflow_dagster.ledger.earlier import shard_files
from dataflow_dagster.ledger.keys import read_header
from dataflow_dagster.ledger.manifest import read_manifest
from dataflow_dagster.ledger.ownership import is_owned
from dataflow_dagster.ledger.shard import RAW_META_FOLDER
from dataflow_dagster.ledger.trail import SENT
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.evidence import (
    BESIDE,
    ROWS,
    Evidence,
    evidence_in,
    is_rows,
    named_media,
    stem_of,
)
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.overlap import real_path
from dataflow_dagster.steps.saved_leftovers import Current, Leftover, leftover, saved_leftovers
from dataflow_dagster.steps.sources import Sources
from dataflow_dagster.stores import mirrors

_SPLIT = re.compile(r"[0-9]{5}-of-[0-9]{5}")
_STEP_FOLDER = re.compile(r"step_[0-9]+_[A-Za-z0-9_]+")
_HERE = (".part", ".interrupted", ".owner", ".whole", ".ordered")
"""Of runs on this machine: a store has none of them."""


class Leftovers:
    """Finds them. Nothing is one that a run of the current YAML could take an answer from.

    While a step's own shards are not whole, answers under its key are kept wherever they lie; once
    they are, they hold every answer there is to its rows.

    Args:
        pipeline: With its environment resolved.
        current: All its assets, in order.

    Attributes:
        left_alone: Folders that may hold leftovers of others, and whose: known after `find`.
    """

    def __init__(self, pipeline: PipelineSpec, current: Sequence[Current]) -> None:
        self.left_alone: list[tuple[Path, str]] = []
        self._layout = Layout(pipeline)
        self._source = [Path(pipeline.meta_path), Path(pipeline.meta_folder or pipeline.meta_path)]
        self._steps = {step.folder: step for step in pipeline.steps}
        self._current = {one.asset: one for one in current}
        self._by_step = {one.step: one for one in current if one.step}
        self._all_whole = all(one.whole for one in current)
        self._name = pipeline.name
        self._sources = set(self._media_of_input(pipeline))
        self._drawn: set[str] = set()  # below save_folder, as below the steps' folders

    def find(self) -> Iterator[Leftover]:
        """All of them, folder by folder."""
        for folder in mirrors.folders(self._layout.base_folder):
            if not self._is_ours(folder):
                continue
            evidence = evidence_in(folder)
            self._tell_of_others(folder, evidence)
            if folder.name in self._steps:
                step = self._steps[folder.name]
                media = list(self._pictures(folder, step, evidence))
                yield from self._of_folder(folder, self._current[step.asset], evidence)
                yield from media
            elif folder.name == RAW_META_FOLDER:
                yield from self._of_folder(folder, self._current[RAW_META], evidence)
            else:
                yield from self._of_old_folder(folder, evidence)
        yield from self._of_results()

    def _of_results(self) -> Iterator[Leftover]:
        folder, results = self._layout.save_folder, self._current[RESULTS]
        evidence = evidence_in(folder)
        self._tell_of_others(folder, evidence)
        yield from self._of_folder(folder, results, evidence)
        if self._all_whole and evidence.pipelines <= {self._name}:
            for found in saved_leftovers(self._layout, results, self._drawn):
                if not self._is_source(found.path):
                    yield found

    def _tell_of_others(self, folder: Path, evidence: Evidence) -> None:
        others = sorted(evidence.pipelines - {self._name})
        if others:
            self.left_alone.append((folder, f"of the pipeline {' and '.join(map(repr, others))}"))

    def _media_of_input(self, pipeline: PipelineSpec) -> Iterator[str]:
        """What the input's rows name in the folders that are cleaned, whoever made it."""
        sources = Sources(pipeline)
        places = (self._layout.base_folder, self._layout.save_folder)
        begins = tuple(f"{place.resolve()}{os.sep}" for place in places)
        for shard in self._current[RAW_META].shards:
            if mirrors.exists(shard.path):
                for row in shard.rows():
                    yield from (path for path in sources.paths(row) if path.startswith(begins))

    def _is_source(self, path: Path) -> bool:
        return bool(self._sources) and real_path(path) in self._sources

    def _is_ours(self, folder: Path) -> bool:
        """A step's folder by its name, in which the user keeps no input."""
        place = folder.resolve()
        return (
            folder.is_dir()
            and not folder.is_symlink()
            and _STEP_FOLDER.fullmatch(folder.name) is not None
            and not any(source.resolve().is_relative_to(place) for source in self._source)
        )

    def _of_folder(self, folder: Path, current: Current, evidence: Evidence) -> Iterator[Leftover]:
        """Files of a current asset's folder that are none of its shards'."""
        own = {shard.path for shard in current.shards}
        stems = {stem_of(path) for path in own}
        for path in shard_files(folder):
            stem = stem_of(path)
            known = stem in stems or stem.name == "result" or _SPLIT.fullmatch(stem.name)
            if SENT in path.name:
                yield from self._of_piece(path)
                continue
            if path in own or not known or not path.is_file() or _is_live(stem):
                continue
            if not evidence.is_of(stem, self._name):
                continue
            if stem in stems and _goes_with(path, own):
                continue
            why = self._reason(path, current)
            if why is not None:
                yield leftover(path, why)

    def _of_piece(self, path: Path) -> Iterator[Leftover]:
        """A piece of a run on another machine."""
        stem = path.with_name(path.name.partition(SENT)[0])
        if self._all_whole and not _is_live(stem):
            yield leftover(path, "left by a run that did not end")

    def _reason(self, path: Path, current: Current) -> str | None:
        """Why a file that is no current shard's can go; None: it cannot."""
        if not current.step:
            return "of another split or format" if current.whole else None
        step = _step_of(path)
        if step is None:
            return "left by a run that did not end" if self._all_whole else None
        if step not in self._by_step:
            return "answers under other settings"
        return "its answers stand in the current shards" if self._by_step[step].whole else None

    def _of_old_folder(self, folder: Path, evidence: Evidence) -> Iterator[Leftover]:
        """What we made in a folder whose step is no longer in the YAML, if no answer is needed."""
        if evidence.pipelines != {self._name}:
            if evidence.makers and not evidence.pipelines:
                self.left_alone.append((folder, "no note in it names its pipeline"))
            return
        files = [p for p in shard_files(folder) if p.is_file() and stem_of(p) in evidence.makers]
        rows = [path for path in files if is_rows(path)]
        if any(_is_live(stem_of(path)) or self._needed(path) for path in rows):
            return
        media = self._media_of_old(folder, rows, evidence) if self._current[RAW_META].whole else ()
        for path in (*files, *media):
            if not self._is_source(path):
                yield leftover(path, "of a step that is not in the YAML")

    def _media_of_old(self, folder: Path, rows: list[Path], evidence: Evidence) -> list[Path]:
        """What its rows say that was drawn there."""
        assets = {maker.asset for maker in evidence.makers.values() if maker.asset}
        named = {value for asset in assets for value in named_media(rows, asset)}
        return [path for path in mirrors.walk(folder) if _below(path, folder) in named]

    def _needed(self, path: Path) -> bool:
        step = _step_of(path)
        if step is None:
            return not self._all_whole
        return step in self._by_step and not self._by_step[step].whole

    def _pictures(self, folder: Path, step: StepSpec, evidence: Evidence) -> Iterator[Leftover]:
        """Pictures that rows named and no row names now, once all rows are there.

        What no row ever named may be the user's.
        """
        current = self._current[step.asset]
        if step.config.writes == "text" or evidence.pipelines != {self._name}:
            return
        files = [path for path in shard_files(folder) if is_rows(path)]
        known = named_media(files, step.asset)
        self._drawn |= known
        if not self._all_whole:
            return
        named = named_media((shard.path for shard in current.shards), step.asset)
        for path in mirrors.walk(folder / step.asset):
            if _below(path, folder) in known - named and not self._is_source(path):
                yield leftover(path, "a picture that no row names")


def bring_rows(pipeline: PipelineSpec) -> None:
    """Bring all rows and what stands beside them from a store, so that they are looked at here."""
    layout = Layout(pipeline)
    mirrors.forget()
    steps = mirrors.folders(layout.base_folder)
    for folder in (*steps, layout.save_folder):
        mirror = mirrors.mirror_of(folder)
        if mirror is not None:
            folder.mkdir(parents=True, exist_ok=True)
            files = shard_files(folder)
            rows = (p for p in files if p.name.endswith((*ROWS, *BESIDE)) or SENT in p.name)
            mirror.bring_all(path for path in rows if path.suffix not in _HERE)


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _step_of(path: Path) -> str | None:
    """Whose answers a file of rows, or a file beside one, holds; None: nobody noted it."""
    rows = path.with_name(path.name.removesuffix(".keys"))
    if path.name.endswith(".manifest.json"):
        stem = stem_of(path)
        either = (stem.with_name(stem.name + ending) for ending in (".jsonl", ".parquet"))
        rows = next((file for file in either if file.exists()), path)
    header = read_header(rows.with_name(rows.name + ".keys"), rows)
    if header is not None:
        return header.origin.step
    manifest = read_manifest(stem_of(path).with_name(stem_of(path).name + ".manifest.json"))
    if manifest is None or not manifest.step or not rows.exists():
        return None
    return manifest.step if manifest.size == rows.stat().st_size else None


def _goes_with(path: Path, own: set[Path]) -> bool:
    """Whether it stands beside a current shard's rows and tells of them."""
    beside = path.with_name(path.name.removesuffix(".keys"))
    return beside in own or path.name.endswith((".manifest.json", ".review.json", ".owner"))


def _is_live(stem: Path) -> bool:
    owner = stem.with_name(stem.name + ".owner")
    return is_owned(owner) or (mirrors.mirror_of(owner) is not None and mirrors.exists(owner))
