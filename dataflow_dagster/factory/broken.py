"""A pipeline that cannot be used, where people look: under Automation in the UI, in red.

It has no assets, since none of it can run; a sensor can fail, and say why.
"""

import re
from pathlib import Path
from typing import Final

import dagster as dg

from dataflow_dagster.rows import fingerprint
from dataflow_dagster.schema.errors import PipelineError

_EVERY_S: Final = 3600
"""The daemon looks at once when it finds the sensor, and then so seldom: it says nothing new."""


class BrokenPipelineError(Exception):
    """What is wrong with a pipeline, as the failure of its sensor shows it."""


def broken_sensor(file: Path, error: PipelineError) -> dg.SensorDefinition:
    """``<file's name>_broken_<4 digits>``: described by what is wrong, and fails with it.

    The digits tell files of one name apart. Once the file is whole the sensor is gone.
    """
    stem = file.parent.name if file.stem == "pipeline" else file.stem
    digits = fingerprint([str(file), str(error)])[:4]

    @dg.sensor(
        name=f"{re.sub('[^A-Za-z0-9_]', '_', stem)}_broken_{digits}",
        description=f"This pipeline is not loaded:\n\n{error}",
        minimum_interval_seconds=_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        tags={"dataflow_dagster/broken": ""},
    )
    def broken() -> None:
        raise BrokenPipelineError(f"this pipeline is not loaded:\n{error}")

    return broken
