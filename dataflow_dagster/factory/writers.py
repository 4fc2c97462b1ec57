"""How each kind of asset writes one shard: what stands between Dagster and the steps."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataflow_dagster.engines.guard import guarded
from dataflow_dagster.factory.partitions import place_of, shard_keys
from dataflow_dagster.factory.processes import step_parent
from dataflow_dagster.factory.reporting import StepReport
from dataflow_dagster.gallery.index import write_index
from dataflow_dagster.gallery.page import write_page
from dataflow_dagster.io_managers.files import RowsIOManager
from dataflow_dagster.io_managers.rows import Shards
from dataflow_dagster.ledger.manifest import Manifest
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.resources.claims import claims_folder
from dataflow_dagster.resources.gpus import Gpus
from dataflow_dagster.resources.variables import set_variables
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.shards.files import FileGoneError, FileShards
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.file_input import file_shards
from dataflow_dagster.steps.outlook import Outlook
from dataflow_dagster.steps.raw_meta import RawMeta, input_index, is_made, standing
from dataflow_dagster.steps.results import Results
from dataflow_dagster.stores import mirrors


@dataclass(frozen=True, slots=True)
class Job:
    """One asset's work in one run.

    Attributes:
        pipeline: With its environment resolved.
        io_manager: Says where shards are written.
        stem: The asset's rows file without its ending, or its folder of shards.
        keys: The partition keys asked for, in order; [None]: the asset is not partitioned.
        sources: The shards of the asset above; empty for ``raw_meta``.
        recompute: Answer every row anew.
        retry_failed: Answer only rows that failed.
        report: Is told of rows done.
        is_retry: The step has failed in this run before.
    """

    pipeline: PipelineSpec
    io_manager: RowsIOManager
    stem: Path
    keys: Sequence[str | None]
    sources: Shards
    recompute: bool
    retry_failed: bool
    report: StepReport
    is_retry: bool = False

    def target(self, key: str | None) -> Shard:
        """The shard to be written for one partition key."""
        return self.io_manager.shard(self.stem, key)

    def expect(self, answers: int = 1) -> None:
        """Tell how many rows there will be: so many of each row read, where that is known."""
        for folder in {self.sources[key].path.parent for key in self.keys}:
            mirrors.look(folder)
        manifests = [self.sources[key].manifest() for key in self.keys]
        known = [manifest.tally.rows for manifest in manifests if manifest is not None]
        if len(known) == len(manifests):
            self.report.expect(sum(known) * answers)


Done = tuple[Shard, Manifest]

WriteShard = Callable[[str | None], Done]
"""Makes the shard of one partition key; None: the asset is not partitioned."""

Writer = Callable[[Job], AbstractContextManager[WriteShard]]


@contextmanager
def raw_meta_writer(job: Job) -> Generator[WriteShard]:
    """Reads the user's input; its index is made by the first shard that needs it."""
    if job.pipeline.files_per_shard is not None:
        with file_shards(job.pipeline, job.report) as shards, _FileWriter(job, shards) as files:
            if not job.retry_failed:
                shards.read(key for key in job.keys if key is not None)
            yield files.shard
        return
    index = input_index(job.pipeline, job.report)
    step = RawMeta(job.pipeline, index, job.report)
    job.report.expect(sum(len(index.shard(*place_of(key))) for key in job.keys))

    def write(key: str | None) -> Done:
        target, (part, parts) = job.target(key), place_of(key)
        return target, step.write_shard(
            target, part, parts, recompute=job.recompute, retry_failed=job.retry_failed
        )

    yield write


class _FileWriter:
    """Makes shards of files; one that is made stays as it is when its file is gone."""

    def __init__(self, job: Job, shards: FileShards) -> None:
        self._job = job
        self._shards = shards
        self._gone: list[str] = []
        self._outlook = Outlook(job.pipeline, job.report)

    def __enter__(self) -> "_FileWriter":
        return self

    def __exit__(self, kind: object, error: object, at: object) -> None:
        if self._gone:
            self._job.report.say(
                f"{len(self._gone)} shards stay as they are, since files of theirs are gone:"
                f" {', '.join(self._gone[:5])}{', ...' if len(self._gone) > 5 else ''}"
            )

    def shard(self, key: str | None) -> Done:
        """Write one shard, or find that it stands there already."""
        job, target = self._job, self._job.target(key)
        if job.retry_failed:
            return target, standing(job.pipeline, target, job.report)
        try:
            index = self._shards.index(key or "")
        except FileGoneError:
            if not is_made(job.pipeline, target):
                raise
            self._gone.append(key or "")
            return target, standing(job.pipeline, target, job.report)
        step = RawMeta(job.pipeline, index, job.report, self._outlook)
        return target, step.write_shard(target, 0, 1, recompute=job.recompute)


def step_writer(step: StepSpec) -> Writer:
    """Answers rows by the step's model, on the GPUs it states, opened once for all shards.

    The GPUs are held from the first row that needs the model.

    Nothing the engine starts outlives the step's process, and that process not its run's.
    """

    @contextmanager
    def writer(job: Job) -> Generator[WriteShard]:
        ready = job.pipeline.steps[step.position - 1]  # its variables are resolved
        job.expect(step.config.repeat_time)
        folder = claims_folder()  # the machine's, whatever the step's own variables say
        with set_variables(ready.resources.variables()), guarded(step_parent()) as guard:
            keep = None if guard is None else guard.keep
            gpus = Gpus(ready.resources.gpus, job.report.say, job.report.who, keep, folder)
            with gpus.seen_before(), _step_run(job, ready, gpus) as run:

                def write(key: str | None) -> Done:
                    target = job.target(key)
                    return target, run.answer_shard(job.sources[key], target)

                yield write

    return writer


def _step_run(job: Job, ready: StepSpec, gpus: Gpus) -> StepRun:
    return StepRun(
        job.pipeline,
        ready,
        recompute=job.recompute,
        retry_failed=job.retry_failed,
        progress=job.report,
        devices=gpus,
        is_retry=job.is_retry,
    )


@contextmanager
def results_writer(job: Job) -> Generator[WriteShard]:
    """Puts rows under the user's own keys, and pictures into ``save_folder``."""
    job.expect()
    results = Results(job.pipeline, job.report)

    def write(key: str | None) -> Done:
        target, source = job.target(key), job.sources[key]
        manifest = results.write_shard(source, target, recompute=job.recompute)
        write_page(job.pipeline, source, manifest)
        return target, manifest

    try:
        yield write
    finally:
        if job.keys != [None]:
            write_index(job.pipeline, shard_keys(job.pipeline))
