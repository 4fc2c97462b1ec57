"""`errors`: which rows failed, at which step and why."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click

from dataflow_dagster.cli.models import aligned
from dataflow_dagster.cli.opening import Failed, config_option, resolved
from dataflow_dagster.export.failures import Failure, Failures
from dataflow_dagster.factory.partitions import shard_keys
from dataflow_dagster.ledger.shard import BrokenShardError
from dataflow_dagster.rows import encode
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.layout import RESULTS
from dataflow_dagster.stores.store import StoreError

SHOWN = 20


@click.command(short_help="Show which rows failed, at which step and why.")
@config_option
@click.option("--kind", help="Only errors of this kind, such as missing_file.")
@click.option("--step", help="Only errors of this step's asset, such as captions.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help=f"Show so many rows.  [default: {SHOWN}; with --json: all]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row, for other programs.")
def errors(
    config: Path, kind: str | None, step: str | None, limit: int | None, as_json: bool
) -> None:
    """Show which rows failed, at which step and why; also of a run that is not done yet.

    \b
    Examples:
      dataflow-dagster errors -c cats.yaml
      dataflow-dagster errors -c cats.yaml --kind missing_file --limit 100
      dataflow-dagster errors -c cats.yaml --json | jq -r .row.image
    """  # noqa: D301  # click takes \b as the character it means
    pipeline = resolved(config)
    try:
        failures = Failures(pipeline, shard_keys(pipeline) or [None])
        chosen = (
            failure
            for failure in failures
            if kind in (None, failure.kind) and step in (None, failure.step)
        )
        if as_json:
            for failure in islice(chosen, limit):
                click.echo(encode(asdict(failure)))
        else:
            for line in _report(failures, chosen, SHOWN if limit is None else limit):
                click.echo(line)
            click.echo(_reach(pipeline, failures), err=True)
    except (BrokenShardError, StoreError) as broken:
        raise Failed(str(broken)) from broken


def _report(failures: Failures, chosen: Iterable[Failure], limit: int) -> Iterator[str]:
    """How many rows failed of what, then the first of them."""
    counts: Counter[tuple[str, str]] = Counter()
    shown: list[Failure] = []
    for failure in chosen:
        counts[failure.step, failure.kind] += 1
        if len(shown) < limit:
            shown.append(failure)
    if not counts:
        yield from [f"no such row among {failures.rows:,} rows"] if failures.rows else []
        return
    yield f"{counts.total():,} of {failures.rows:,} rows failed"
    yield ""
    yield from _counted(counts)
    if shown:
        yield ""
        rows = [[_plain(text) for text in (f.id, f.step, f.kind, f.message)] for f in shown]
        yield from aligned([("id", "step", "kind", "message"), *rows])
    if counts.total() > len(shown):
        yield f"... and {counts.total() - len(shown):,} more (--limit, --kind, --step, --json)"


def _counted(counts: Counter[tuple[str, str]]) -> Iterator[str]:
    rows = [(step, kind, f"{count:,}") for (step, kind), count in counts.most_common()]
    yield from aligned([("step", "kind", "rows"), *rows])


def _reach(pipeline: PipelineSpec, failures: Failures) -> str:
    """How far the rows came that were looked at."""
    of = len(failures.states) + failures.missing
    if of == failures.missing:
        return f"{pipeline.name} was not run yet"
    unit = "shards" if of > 1 else "shard"
    ends = Counter(state.asset for state in failures.states)
    if ends[RESULTS] == of:
        return f"looked at results of {of} {unit}"
    told = [f"{count} at {asset}" for asset, count in ends.items()]
    told += [f"{failures.missing} not begun"] if failures.missing else []
    return f"looked at {of} {unit}, not all finished: {', '.join(told)}"


def _plain(text: str) -> str:
    """One line without control characters: rows come from anywhere, and this is a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
