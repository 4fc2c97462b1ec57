"""A sensor on a pipeline's input: new and changed files are run as soon as nobody writes them."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition as AssetJob,  # what define_asset_job gives has no public name
)

from dataflow_dagster.factory.liveness import ENDED, runs_at_work
from dataflow_dagster.factory.memory import Memory, recall, remember
from dataflow_dagster.factory.partitions import (
    RANGE_START,
    add_partitions,
    range_tags,
    shard_keys,
    stretches,
)
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.shards.catalogue import Catalogue
from dataflow_dagster.steps.file_input import (
    catalogue_of,
    drop_files,
    list_input,
    register_files,
)

WATCH_TAG: Final = "dataflow_dagster/watch"
ATTEMPTS: Final = 3
"""Times a run is begun for the same files; after that a person, or a changed file, begins it."""
OLD_S: Final = 3600.0
"""A file changed longer ago is no longer written, whatever the clocks of its disk and of ours."""

Stamps = Mapping[str, str]


def watch_sensor(pipeline: PipelineSpec, job: AssetJob) -> dg.SensorDefinition:
    """``<name>_watch``: on, since the YAML asks for it."""

    @dg.sensor(
        name=f"{pipeline.name}_watch",
        job=job,
        minimum_interval_seconds=pipeline.watch,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs new and changed files at {pipeline.meta_path}",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        try:
            catalogue = _catalogue(pipeline)
            memory = recall(context.cursor, catalogue)
            runs, said = _Look(pipeline, context.instance, memory).decide()
            cursor = remember(memory, catalogue)
        except (InputError, PipelineError) as error:
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        return dg.SensorResult(
            run_requests=runs, skip_reason=None if runs else dg.SkipReason(said), cursor=cursor
        )

    return watch


def _catalogue(pipeline: PipelineSpec) -> Catalogue | None:
    if pipeline.files_per_shard is None:
        return None
    return catalogue_of(pipeline.with_environment(os.environ))


class _Look:
    """One look at the input.

    A run is begun for files that look as they did one look before. While it is at work new files
    become shards, and wait: the next run takes them together, so that a model loads once.
    """

    def __init__(
        self, pipeline: PipelineSpec, instance: dg.DagsterInstance, memory: Memory
    ) -> None:
        self._pipeline = pipeline
        self._ready = pipeline.with_environment(os.environ)
        self._instance = instance
        self._memory = memory

    def decide(self) -> tuple[list[dg.RunRequest], str]:
        """The runs to begin, and what to say where there are none."""
        settled = self._settled()
        at_work = runs_at_work(self._pipeline, self._instance)
        others = [run for run in at_work if not self._is_own(run)]
        if self._memory.id:
            runs, own = self._unfinished({run.run_id for run in at_work})
            if runs or own:
                return (runs, f"{own} runs are at work") if not others else ([], _waits(others))
            self._finish()
        if others:
            return [], _waits(others)
        known = self._known()
        fresh = {name: stamp for name, stamp in settled.items() if known.get(name) != stamp}
        if not fresh:
            return [], f"nothing new; {len(self._memory.pending)} may still be written"
        return list(self._begin(fresh)), ""

    def _settled(self) -> Stamps:
        """New and changed files that nobody writes; those that are in no shard come into one."""
        now = self._stamps()
        known = self._known()
        changed = {name: stamp for name, stamp in now.items() if known.get(name) != stamp}
        before, self._memory.pending = self._memory.pending, {}
        settled: dict[str, str] = {}
        for name, stamp in changed.items():
            if before.get(name) == stamp or _is_old(stamp):
                settled[name] = stamp
            else:
                self._memory.pending[name] = stamp
        if self._pipeline.files_per_shard is not None:
            if new := [name for name in settled if name not in known]:
                register_files(self._ready, new)
            add_partitions(self._pipeline, self._instance)
        self._memory.pending.update(settled)  # still new in the next look where runs are at work
        return settled

    def _stamps(self) -> Stamps:
        listing = list_input(self._ready)
        if self._pipeline.files_per_shard is not None:
            drop_files(self._ready, listing)
        stamps = {name: listing.stamp(name) for name in listing.names}
        if self._pipeline.files_per_shard is not None:
            return {name: stamp for name, stamp in stamps.items() if stamp}
        return {"": fingerprint(sorted(stamps.items()))}

    def _known(self) -> Stamps:
        if self._pipeline.files_per_shard is not None:
            return catalogue_of(self._ready).stamps()
        return {"": self._memory.done}

    def _begin(self, fresh: Stamps) -> Iterator[dg.RunRequest]:
        keys = shard_keys(self._pipeline)
        wanted = keys
        if self._pipeline.files_per_shard is not None:
            wanted = catalogue_of(self._ready).keys_of(fresh)
        runs = [list(stretch) for stretch in stretches(self._pipeline, wanted, keys)] or [[]]
        self._memory.asked = [run and [run[0], run[-1]] for run in runs]
        self._memory.given = dict(fresh)
        self._memory.id = fingerprint([self._memory.asked, sorted(fresh.items())])[:16]
        for run in self._memory.asked:
            yield self._request(run, 0)

    def _request(self, run: Sequence[str], attempt: int) -> dg.RunRequest:
        tags = {WATCH_TAG: self._memory.id, **(range_tags(run) if run else {})}
        return dg.RunRequest(run_key=f"{self._memory.id}:{':'.join(run)}:{attempt}", tags=tags)

    def _unfinished(self, at_work: AbstractSet[str]) -> tuple[list[dg.RunRequest], int]:
        """Failed runs to begin again, and how many are among those `at_work`."""
        begun: dict[str, list[dg.DagsterRun]] = {}
        tagged = dg.RunsFilter(tags={WATCH_TAG: self._memory.id})
        for run in self._instance.get_runs(tagged):  # the newest first
            begun.setdefault(run.tags.get(RANGE_START, ""), []).append(run)
        again: list[dg.RunRequest] = []
        own = 0
        for asked in self._memory.asked:
            runs = begun.get(asked[0] if asked else "", [])
            if runs and runs[0].run_id in at_work:
                own += 1
            elif not runs or (_has_failed(runs[0]) and len(runs) < ATTEMPTS):
                again.append(self._request(asked, len(runs)))
        return again, own

    def _is_own(self, run: dg.DagsterRun) -> bool:
        return bool(self._memory.id) and run.tags.get(WATCH_TAG) == self._memory.id

    def _finish(self) -> None:
        """The files were run, or given up: until they change they are done."""
        if self._pipeline.files_per_shard is not None:
            catalogue_of(self._ready).note(self._memory.given)
        else:
            self._memory.done = self._memory.given[""]
        self._memory.asked, self._memory.id, self._memory.given = [], "", {}


def _has_failed(run: dg.DagsterRun) -> bool:
    """Or died without a word, which Dagster shows as started for good."""
    return run.status == dg.DagsterRunStatus.FAILURE or run.status not in ENDED


def _waits(others: Sequence[dg.DagsterRun]) -> str:
    return f"{len(others)} other runs are at work on these assets"


def _is_old(stamp: str) -> bool:
    try:
        changed = float(stamp.rpartition("-")[2])
    except ValueError:  # of a store, whose files appear when they are whole
        return False
    return time.time() - changed > OLD_S
