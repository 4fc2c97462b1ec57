import importlib
from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.loading import merged_definitions
from dataflow_dagster.factory.processes import STEP_PROCESSES
from dataflow_dagster_tests.toys.pipelines import SHOUT, write_pipeline

pytestmark = pytest.mark.usefixtures("toys")


def test_all_that_is_imported_beforehand_is_there() -> None:
    for name in STEP_PROCESSES["start_method"]["forkserver"]["preload_modules"]:
        assert importlib.import_module(name).__name__ == name


def test_a_run_of_the_code_location_may_bound_its_processes(tmp_path: Path) -> None:
    definitions = merged_definitions([write_pipeline(tmp_path, [SHOUT])], {})
    job = definitions.resolve_job_def("demo_pipeline")
    for config in ({}, {"max_concurrent": 2}):
        assert dg.validate_run_config(job, {"execution": {"config": config}})
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(job, {"execution": {"config": {"max_concurrent": "two"}}})
