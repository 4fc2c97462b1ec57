"""The command line: run · check · clean · errors · export · gallery · models · doctor."""

import logging
import sys
from pathlib import Path

import click

from dataflow_dagster.cli.clean import clean
from dataflow_dagster.cli.doctor import examine_all, machine
from dataflow_dagster.cli.errors import errors
from dataflow_dagster.cli.export import export
from dataflow_dagster.cli.first_rows import remarks
from dataflow_dagster.cli.gallery import gallery
from dataflow_dagster.cli.models import key_lines, model_lines
from dataflow_dagster.cli.opening import FAILED, Failed, Refused, config_option, loaded, resolved
from dataflow_dagster.cli.running import RunRequest, UnknownPartitionError, run_pipeline
from dataflow_dagster.cli.summary import print_summary
from dataflow_dagster.factory.executors import RayUnreachableError
from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.inputs import find_input
from dataflow_dagster.registry import UnknownNameError
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.steps.layout import RAW_META, RESULTS, Layout
from dataflow_dagster.stores import mirrors
from dataflow_dagster.stores.store import StoreError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="dataflow-dagster")
def main() -> None:
    """Captions for pictures and pictures for captions, by the million, as Dagster assets.

    \b
    Begin with:
      dataflow-dagster check -c cats.yaml
      dataflow-dagster run -c cats.yaml --limit 20
    """  # noqa: D301  # click takes \b as the character it means
    logging.captureWarnings(True)


@main.command(short_help="Run one pipeline, with a bar of rows and a summary.")
@config_option
@click.option(
    "--limit", type=click.IntRange(min=1), help="Try it on the first rows, in folders of its own."
)
@click.option("--recompute", is_flag=True, help="Answer every row anew, known answers or not.")
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Answer only rows that failed, in shards that are done; leave new rows of the input.",
)
@click.option("--partition", help="Only this shard, such as 00003-of-00008.")
@click.option("--partition-range", help="Only the shards from one to another: FIRST...LAST.")
def run(
    config: Path,
    limit: int | None,
    recompute: bool,
    retry_failed: bool,
    partition: str | None,
    partition_range: str | None,
) -> None:
    """Run one pipeline: every step in its own process, with a bar of rows and a summary.

    Exit code 0: done (failed rows are in errors.jsonl); 1: the run failed; 2: the YAML is wrong.
    """
    if recompute and retry_failed:
        raise click.UsageError("--recompute and --retry-failed exclude each other")
    if partition is not None and partition_range is not None:
        raise click.UsageError("--partition and --partition-range exclude each other")
    request = RunRequest(
        config,
        limit=limit,
        recompute=recompute,
        retry_failed=retry_failed,
        partition=partition,
        partition_range=partition_range,
    )
    pipeline = loaded(request)
    try:
        results = run_pipeline(request)
    except UnknownPartitionError as error:
        hint = "--partition" if partition is not None else "--partition-range"
        raise click.BadParameter(str(error), param_hint=hint) from error
    except (PipelineError, InputError) as error:
        raise Refused(str(error)) from error
    except (RayUnreachableError, StoreError) as error:
        raise Failed(str(error)) from error
    print_summary(pipeline, results)
    sys.exit(0 if all(result.success for result in results) else FAILED)


@main.command(short_help="Check one pipeline; run nothing.")
@config_option
def check(config: Path) -> None:
    """Check one pipeline's YAML, its environment and that its input is there; run nothing.

    Of folders in a store it is checked that they can be written, and of the first rows that they
    have the columns that are read. Exit code 0: it can run; 2: it
    cannot, and every reason is told.
    """
    ready = resolved(config)
    assets = [RAW_META, *(step.asset for step in ready.steps), RESULTS]
    layout = Layout(ready)
    try:
        found = find_input(ready.meta_path, ready.image_key)
        files, said = len(found.files), remarks(ready, found)
        for folder in (layout.base_folder, layout.save_folder):
            mirrors.check(folder)
    except (InputError, StoreError) as error:
        raise Refused(str(error)) from error
    for remark in said:
        click.echo(f"warning: {config}: {remark}", err=True)
    click.echo(f"{config}: ok: {files} file(s) at {ready.meta_path}: {' → '.join(assets)}")


@main.command(short_help="List the models, or the keys of one.")
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models a step can name, or show the keys of the one called NAME."""
    try:
        lines = model_lines() if name is None else key_lines(name)
        for line in lines:
            click.echo(line)
    except UnknownNameError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error


@main.command(short_help="Ask each engine here for known answers.")
@click.option(
    "--models",
    default=Path("data/models"),
    show_default=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the known-answer models, which come with the source.",
)
def doctor(models: Path) -> None:
    """Ask each engine installed here for known answers: what works, what to install or mend.

    Exit code 0: a captioner and a generator work; 1: not both.
    """
    click.echo(machine())
    works: set[str] = set()
    for finding in examine_all(models):
        state = "works" if finding.works else "absent" if finding.version is None else "FAILS"
        click.echo(f"{finding.engine:<13} {finding.version or '-':<9} {state:<7} {finding.told}")
        works |= {finding.engine} if finding.works else set()
    sys.exit(0 if "diffusers" in works and works & {"vllm", "transformers"} else FAILED)


main.add_command(clean)
main.add_command(errors)
main.add_command(export)
main.add_command(gallery)
