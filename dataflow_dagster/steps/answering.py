"""A model step over its shards, with one engine for all of them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from types import TracebackType

from dataflow_dagster.engines.devices import AsTheyAre, Devices, Lease
from dataflow_dagster.engines.replicas.session import Plan, Replicas
from dataflow_dagster.engines.session import Engine, Request, Session, notes_of
from dataflow_dagster.ledger.keys import Origin
from dataflow_dagster.ledger.ledger import Ledger
from dataflow_dagster.ledger.manifest import Manifest
from dataflow_dagster.ledger.part import tidy
from dataflow_dagster.ledger.shard import Shard, check_made, source_version
from dataflow_dagster.media.fetching import Fetcher
from dataflow_dagster.rows import RowError, fingerprint
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.inputs import InputReader, Work
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.steps.preparer import Preparer, media_rules
from dataflow_dagster.steps.progress import Progress, Silent
from dataflow_dagster.steps.saving import MediumSaver
from dataflow_dagster.steps.shard_run import ShardRun
from dataflow_dagster.steps.stamps import Stamps

SAVE_WORKERS = 4


class StepRun:
    """One run of one model step: opens its engine when the first row needs it, once.

    Args:
        pipeline: With its environment resolved.
        step: One of the pipeline's steps.
        recompute: Answer rows anew although good answers are known.
        retry_failed: Answer no other rows than those that failed in shards that are whole, here
            or above.
        progress: Is told of rows done.
        devices: Leased before the first row is made ready for the engine.
        is_retry: The step has failed in this run before.

    Attributes:
        pipeline_name: Stands in manifests, so that other pipelines leave the shards alone.
        fingerprint: Begins every row's key; equal settings of the model, equal fingerprint.
        origin: Marks the files of its answers.
        ledger: Its earlier answers; None: they are not wanted.
        shard_fingerprint: Beside it, how rows are made of the rows read; stands in manifests.
        proven: Some row was answered well, now or earlier, or all may fail: it is not hopeless.
        failures: Kind of error → rows of this run that failed of it, in all shards.
    """

    def __init__(
        self,
        pipeline: PipelineSpec,
        step: StepSpec,
        *,
        recompute: bool = False,
        retry_failed: bool = False,
        progress: Progress | None = None,
        devices: Devices | None = None,
        is_retry: bool = False,
    ) -> None:
        self.step = step
        self.pipeline_name = pipeline.name
        self.recompute = recompute
        self._retry_failed = retry_failed
        self.progress: Progress = progress or Silent()
        self.engine: Engine = step.config.engine()
        self.fingerprint = step_fingerprint(step, self.engine)
        self._fetcher = Fetcher(media_rules(pipeline))
        self._stamps = Stamps(self._fetcher, hash_media=pipeline.hash_media)
        self.inputs = InputReader(pipeline, step, self.fingerprint, self._stamps)
        self.shard_fingerprint = fingerprint([self.fingerprint, self.inputs.settings()])
        self.proven = pipeline.max_failed is not None and pipeline.max_failed >= 1
        self.failures = Counter[str]()
        self.origin = Origin(self.fingerprint, step.asset, self.shard_fingerprint)
        base_folder = Layout(pipeline).base_folder
        self.ledger = None if recompute else Ledger(base_folder, self.origin)
        self._told: set[tuple[str, str]] = set()
        self._devices: Devices = devices or AsTheyAre()
        self._is_retry = is_retry
        self._held = ExitStack()
        self._lease: Lease | None = None
        self._session: Session | None = None
        self._pool = ThreadPoolExecutor(SAVE_WORKERS, thread_name_prefix="save")
        self._preparer = Preparer(pipeline, step, self.inputs.given, self._fetcher)

    def __enter__(self) -> "StepRun":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._held:  # devices are let go last
            try:
                self._preparer.close()
                self._stamps.close()
                self._fetcher.close()
                self._pool.shutdown(wait=True, cancel_futures=True)
            finally:
                if self.ledger is not None:
                    self.ledger.close()
                if self._session is not None:
                    self._session.close()

    def answer_shard(self, source: Shard, target: Shard) -> Manifest:
        """Answer the rows of `source` into `target`, or find that they stand there already.

        Rows out = rows in × ``repeat_time``, in order.

        Raises:
            HopelessStepError: Every row of the first few hundred fails for one reason.
            ShardBusyError: Another run writes `target` now.
            BrokenShardError: `source` is missing or damaged.
            RowsMismatchError: The engine's answers and the rows do not belong together.
            NothingToRetryError: Only failed rows are to be answered, and `target` is not whole.
        """
        version = source_version(source)
        if self._retry_failed:
            check_made(target, self.shard_fingerprint)
        done = None if self.recompute else self._finished(target, version)
        if done is not None:
            self.progress.advance(done.tally.rows, 0)
            self.proven = self.proven or done.tally.reused > 0
            return done
        return ShardRun(self, source, target).write(version)

    def session(self) -> Session:
        """The engine, opened at the first call."""
        if self._session is None:
            engine = self.engine
            self.progress.say(
                f"{self.step.name} runs on {engine.name} {engine.version},"
                f" {engine.precision}, {engine.device}"
            )
            self._warn_of_sharing()
            self._session = self._open(engine)
        return self._session

    def _warn_of_sharing(self) -> None:
        """Copies that were given no devices of their own all take the first one."""
        copies = self.step.copies
        if copies > 1 and self.engine.device == "cuda" and self.step.resources.gpus is None:
            self.progress.say(
                f"warning: {copies} replicas see every GPU of this machine and all take the first;"
                f" write resources: {{gpus: {copies * self.step.config.gpus_of_one()}}}, and each"
                " has its own"
            )

    def engine_notes(self) -> dict[str, str]:
        """The engine, and what its session has to say of itself, for the manifest.

        What is new of it is told in the run's log.
        """
        if self._session is None:
            return asdict(self.engine)
        notes = {**self.step.config.notes(), **notes_of(self._session)}
        for note in sorted(set(notes.items()) - self._told):
            self.progress.say(f"{self.step.name}: {': '.join(note)}")
        self._told |= set(notes.items())
        return {**asdict(self.engine), **notes}

    def _open(self, engine: Engine) -> Session:
        step = self.step
        if step.copies == 1 and step.stall_timeout_s is None:
            return step.config.open(engine)
        lease = self._lease or Lease()
        plan = Plan(step.copies, lease, step.stall_timeout_s, is_retry=self._is_retry)
        return Replicas(partial(step.config.open, engine), plan, self.progress.say)

    def prepare(self, work: Iterator[Work]) -> Iterator[tuple[Work, Request | RowError]]:
        """Requests, as `Preparer.prepare` makes them."""
        return self._preparer.prepare(self._after_fetching(work))

    def _after_fetching(self, work: Iterator[Work]) -> Iterator[Work]:
        """The same work; before the first row of a run the model is brought onto this host.

        Then its devices are leased: what makes rows ready may load libraries that look for them.
        """
        first = next(work, None)
        if first is None:
            return
        if self._lease is None:
            self._devices.check()
            self.step.config.fetch(self.progress.say)
            self._lease = self._held.enter_context(self._devices.lease())
        yield first
        yield from work

    def saver(self, target: Shard) -> MediumSaver:
        """Writes pictures or clips below `target`'s folder, beside the engine."""
        return MediumSaver(target.folder / self.step.asset, self._pool, self.step.config.writes)

    def _finished(self, target: Shard, version: str) -> Manifest | None:
        """The manifest of a shard that needs no work: same step, same input, no row failed."""
        manifest = target.manifest()
        if manifest is None or manifest.tally.failed:
            return None
        if (manifest.fingerprint, manifest.source) != (self.shard_fingerprint, version):
            return None
        if self.step.config.writes != "text" and not self.saver(target).holds_all(target.rows()):
            return None
        tidy(target)
        return manifest.all_reused()


def step_fingerprint(step: StepSpec, engine: Engine) -> str:
    """All that the rows of a step share and that decides their answers."""
    return fingerprint(
        {
            "type": step.type,
            "settings": step.config.key_settings(),
            "engine": engine.name,
            "precision": engine.precision,
        }
    )
