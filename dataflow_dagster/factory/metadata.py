"""What the UI shows of a materialized shard."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dataflow_dagster.factory.checks import AssetChecks, Done, Sources, step_of
from dataflow_dagster.factory.samples import Samples
from dataflow_dagster.factory.tables import table
from dataflow_dagster.gallery.page import page_path
from dataflow_dagster.ledger.manifest import Manifest, Tally
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.schema.pipeline import PipelineSpec, StepSpec
from dataflow_dagster.steps.inspection import review_of
from dataflow_dagster.steps.layout import RESULTS
from dataflow_dagster.steps.review import Review
from dataflow_dagster.stores import mirrors

SHORT = 12
"""Digits of a revision that are shown."""

_NOTES = ("batch_size", "not_sent")
"""What sessions note of themselves."""

_WEIGHTS = ("model_path", "model", "model_id", "function")


class Story:
    """Tells the shards of one asset: numbers, files, a few rows and pictures.

    Args:
        pipeline: With its environment resolved.
        checks: Of the asset.
        sources: The shards that its shards are made of, by partition key.
    """

    def __init__(self, pipeline: PipelineSpec, checks: AssetChecks, sources: Sources) -> None:
        self._pipeline = pipeline
        self._checks = checks
        self._sources = sources
        self._asset = checks.asset
        self._step = step_of(pipeline, checks.asset)
        self._model = {} if self._step is None else _model(self._step)

    def of(self, shard: Shard, manifest: Manifest) -> dict[str, Any]:
        """The metadata of one finished shard; its numbers are plotted over time."""
        shown = _counts(manifest.tally)
        shown["path"] = dg.MetadataValue.path(mirrors.address(shard.path))
        shown |= self._model
        if self._step is not None:
            shown |= _engine(self._step, manifest)
        if manifest.tally.kinds:
            kinds = [[kind, count] for kind, count in sorted(manifest.tally.kinds.items())]
            shown["errors"] = dg.MetadataValue.md(table(["kind", "rows"], kinds))
        page = page_path(self._pipeline, shard.key)
        if self._asset == RESULTS and mirrors.exists(page):
            shown["gallery"] = dg.MetadataValue.path(mirrors.address(page.absolute()))
        if self._asset != RESULTS:
            shown |= _found(review_of(shard, self._asset, self._step))
        if shard.key is not None:
            judged = self._checks.results([(shard, manifest)], self._sources, part=True)
            shown["checks"] = _judged(judged)
        return shown | Samples(self._pipeline, self._asset, shard).metadata()

    def verdicts(self, done: Sequence[Done]) -> list[dg.AssetCheckResult]:
        """What the asset's checks say of some shards together."""
        return self._checks.results(done, self._sources)


def model_named(step: StepSpec) -> str | None:
    """The weights, the API's model or the function that answers."""
    named = (getattr(step.config, name, None) for name in _WEIGHTS)
    return next((str(name) for name in named if name), None)


def _counts(tally: Tally) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "dagster/row_count": tally.rows,
        "computed": tally.computed,
        "reused": tally.reused,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "failed_before": tally.passed,
        "seconds": round(tally.seconds, 3),
    }
    if tally.seconds and tally.computed:
        shown["rows_per_second"] = round(tally.computed / tally.seconds, 3)
    if tally.tokens:
        shown["tokens"] = tally.tokens
    return shown


def _model(step: StepSpec) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if (model := model_named(step)) is not None:
        shown["model"] = model
    revision = step.config.key_settings().get("revision")
    if isinstance(revision, str) and revision != model:  # of a folder, or as the YAML names it
        shown["revision"] = getattr(step.config, "revision", None) or revision[:SHORT]
    return shown


def _engine(step: StepSpec, manifest: Manifest) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    engine, gpus = manifest.engine, step.resources.gpus
    if engine:
        shown |= {name: engine[name] for name in _NOTES if name in engine}
        if "revision" in engine:
            shown["revision"] = engine["revision"][:SHORT]
        shown["engine"] = "{name} {version}, {precision}, {device}".format_map(engine)
    if gpus is None:  # none leased: at least the one it ran on
        gpus = int(engine.get("device") == "cuda")
    if gpus:
        shown["gpu_seconds"] = round(gpus * manifest.tally.seconds, 3)
    return shown


def _judged(verdicts: Sequence[dg.AssetCheckResult]) -> dg.MarkdownMetadataValue:
    """The verdicts on one partition; those of the checks' own page are on all of a run."""
    rows = [["kept" if v.passed else "not kept", v.check_name, v.description] for v in verdicts]
    return dg.MetadataValue.md(table(["", "check", "found"], rows))


def _found(review: Review) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if review.characters:
        names = ("shortest_text", "median_text", "longest_text")
        shown |= dict(zip(names, review.characters, strict=True))
    for finding, count in review.findings.items():
        shown[f"found/{finding}"] = count
    if review.failures:
        rows = [[failed["id"], failed["kind"], failed["message"]] for failed in review.failures]
        shown["failed_rows"] = dg.MetadataValue.md(table(["id", "kind", "message"], rows))
    return shown
