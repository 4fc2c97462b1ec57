"""What every command that names a pipeline begins with: its option, and the file read."""

import os
from pathlib import Path

import click

from dataflow_dagster.cli.running import RunRequest
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec

FAILED = 1
BAD_YAML = 2

config_option = click.option(
    "--config", "-c", required=True, type=click.Path(path_type=Path), help="The pipeline's YAML."
)


class Refused(click.ClickException):
    """What is wrong with a pipeline, as it stands; exit code 2."""

    exit_code = BAD_YAML

    def show(self, file: object = None) -> None:
        """The message alone: it begins with file and line."""
        click.echo(self.message, err=True)


class Failed(Refused):
    """What went wrong with a pipeline that is right; exit code 1."""

    exit_code = FAILED


def loaded(request: RunRequest) -> PipelineSpec:
    """The pipeline as it is to run; what should be written otherwise goes to standard error.

    Raises:
        Refused: The YAML is wrong.
    """
    try:
        load_pipeline(request.config)
        pipeline = request.pipeline()
    except PipelineError as error:
        raise Refused(str(error)) from error
    for warning in pipeline.warnings:
        click.echo(f"warning: {warning}", err=True)
    return pipeline


def resolved(config: Path) -> PipelineSpec:
    """The pipeline whose files are to be looked at: with its environment's values.

    Raises:
        Refused: The YAML is wrong, or a variable it names is not set.
    """
    try:
        return loaded(RunRequest(config)).with_environment(os.environ)
    except PipelineError as error:
        raise Refused(str(error)) from error
