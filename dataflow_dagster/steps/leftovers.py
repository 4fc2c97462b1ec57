"""What earlier runs left under a pipeline's folders and no current step can use."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataflow_dagster.ledger.earlier import shard_files
from dataflow_dagster.ledger.keys import read_header
from dataflow_dagster.ledger.manifest import read_manifest
from dataflow_dagster.ledger.ownership import is_owned
from dataflow_dagster.ledger.shard import RAW_META_FOLDER
from dataflow_dagster.ledger.trail import SENT
from dataflow_dagster.rows import answer_column
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.steps.pictures import generated_name
from dataflow_dagster.steps.saved_leftovers import Current, Leftover, leftover, saved_leftovers
from dataflow_dagster.stores import mirrors

_SPLIT = re.compile(r"[0-9]{5}-of-[0-9]{5}")
_STEP_FOLDER = re.compile(r"step_[0-9]+_[A-Za-z0-9_]+")
_BEFORE = re.compile(r"\.[0-9a-f]{16}\.before(\.keys)?$")
_ROWS = (".jsonl", ".parquet", ".before", ".part", ".interrupted")
_HERE = (".part", ".interrupted", ".owner", ".whole", ".ordered")
"""Of runs on this machine: a store has none of them."""
_BESIDE = (".keys", ".manifest.json", ".review.json", ".owner", ".whole", ".ordered")


class Leftovers:
    """Finds them. Nothing is one that a run of the current YAML could take an answer from.

    While a step's own shards are not whole, answers under its key are kept wherever they lie; once
    they are, they hold every answer there is to its rows.

    Args:
        pipeline: With its environment resolved.
        current: All its assets, in order.
    """

    def __init__(self, pipeline: PipelineSpec, current: Sequence[Current]) -> None:
        self._layout = Layout(pipeline)
        self._source = [Path(pipeline.meta_path), Path(pipeline.meta_folder or pipeline.meta_path)]
        self._steps = {step.folder: step for step in pipeline.steps}
        self._current = {one.asset: one for one in current}
        self._by_step = {one.step: one for one in current if one.step}
        self._all_whole = all(one.whole for one in current)

    def find(self) -> Iterator[Leftover]:
        """All of them, folder by folder."""
        for folder in mirrors.folders(self._layout.base_folder):
            if self._is_ours(folder) and folder.name in self._steps:
                step = self._steps[folder.name]
                yield from self._of_folder(folder, self._current[step.asset])
                yield from self._pictures(folder, step)
            elif self._is_ours(folder) and folder.name == RAW_META_FOLDER:
                yield from self._of_folder(folder, self._current[RAW_META])
            elif self._is_ours(folder):
                yield from self._of_old_folder(folder)
        yield from self._of_folder(self._layout.save_folder, self._current[RESULTS])
        if self._all_whole:
            yield from saved_leftovers(self._layout, self._steps.values(), self._current[RESULTS])

    def _is_ours(self, folder: Path) -> bool:
        """A step's folder, in which the user keeps no input."""
        place = folder.resolve()
        return (
            folder.is_dir()
            and not folder.is_symlink()
            and _STEP_FOLDER.fullmatch(folder.name) is not None
            and not any(source.resolve().is_relative_to(place) for source in self._source)
        )

    def _of_folder(self, folder: Path, current: Current) -> Iterator[Leftover]:
        """Files of a current asset's folder that are none of its shards'."""
        own = {shard.path for shard in current.shards}
        stems = {_stem(path) for path in own}
        for path in shard_files(folder):
            stem = _stem(path)
            known = stem in stems or stem.name == "result" or _SPLIT.fullmatch(stem.name)
            if SENT in path.name:
                yield from self._of_piece(path)
                continue
            if path in own or not known or not path.is_file() or _is_live(stem):
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

    def _of_old_folder(self, folder: Path) -> Iterator[Leftover]:
        """All of a folder whose step is no longer in the YAML, unless some answer is needed."""
        files = [path for path in shard_files(folder) if path.is_file()]
        rows = [path for path in files if path.suffix in _ROWS]
        if any(_is_live(_stem(path)) or self._needed(path) for path in rows):
            return
        for path in mirrors.walk(folder):
            yield leftover(path, "of a step that is not in the YAML")

    def _needed(self, path: Path) -> bool:
        step = _step_of(path)
        if step is None:
            return not self._all_whole
        return step in self._by_step and not self._by_step[step].whole

    def _pictures(self, folder: Path, step: StepSpec) -> Iterator[Leftover]:
        """Drawn pictures that no row names, once all rows are there and no other ledger is."""
        current = self._current[step.asset]
        if step.config.writes == "text" or not current.whole or not self._all_whole:
            return
        drawn, column = folder / step.asset, answer_column(step.asset)
        medium = step.config.writes
        named = {
            generated_name(row, medium)
            for shard in current.shards
            for row in shard.rows()
            if row.get(column) is not None
        }
        for path in mirrors.walk(drawn):
            if path.relative_to(drawn).as_posix() not in named:
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
            rows = (path for path in shard_files(folder) if path.name.endswith((*_ROWS, *_BESIDE)))
            mirror.bring_all(path for path in rows if path.suffix not in _HERE)


def _step_of(path: Path) -> str | None:
    """Whose answers a file of rows, or a file beside one, holds; None: nobody noted it."""
    rows = path.with_name(path.name.removesuffix(".keys"))
    if path.name.endswith(".manifest.json"):
        stem = _stem(path)
        either = (stem.with_name(stem.name + ending) for ending in (".jsonl", ".parquet"))
        rows = next((file for file in either if file.exists()), path)
    header = read_header(rows.with_name(rows.name + ".keys"), rows)
    if header is not None:
        return header.origin.step
    manifest = read_manifest(_stem(path).with_name(_stem(path).name + ".manifest.json"))
    if manifest is None or not manifest.step or not rows.exists():
        return None
    return manifest.step if manifest.size == rows.stat().st_size else None


def _stem(path: Path) -> Path:
    """A shard's path without what tells its files apart: ``.../00001-of-00004``."""
    name = _BEFORE.sub("", path.name)
    for ending in (*_BESIDE, *_ROWS):
        name = name.removesuffix(ending)
    return path.with_name(name)


def _goes_with(path: Path, own: set[Path]) -> bool:
    """Whether it stands beside a current shard's rows and tells of them."""
    beside = path.with_name(path.name.removesuffix(".keys"))
    return beside in own or path.name.endswith((".manifest.json", ".review.json", ".owner"))


def _is_live(stem: Path) -> bool:
    owner = stem.with_name(stem.name + ".owner")
    return is_owned(owner) or (mirrors.mirror_of(owner) is not None and mirrors.exists(owner))
