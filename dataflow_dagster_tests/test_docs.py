"""What the pages in docs show is checked by what they are for."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import Resources, StepOptions

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def rows(page: str) -> set[str]:
    """All keys that the first column of a page's tables names."""
    found = re.findall(r"^\| (`.*?`) \|", (DOCS / page).read_text(), re.MULTILINE)
    return {key for cell in found for key in re.findall(r"`(\w+)`", cell)}


def test_the_pipeline_of_the_page_on_gpus_is_one() -> None:
    pipeline = parse_pipeline(blocks("gpus.md")[0], Path("gpus.yaml"))
    assert [step.copies for step in pipeline.steps] == [8, 1]


def test_every_key_of_a_steps_devices_has_its_row() -> None:
    told = {"replicas", "stall_timeout_s"} & set(StepOptions.model_fields)
    assert rows("gpus.md") == set(Resources.model_fields) | told


@pytest.mark.parametrize("block", [1])
def test_the_instance_of_the_page_on_gpus_starts(block: int, tmp_path: Path) -> None:
    settings: dict[str, Any] = yaml.safe_load(blocks("gpus.md")[block])
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides=settings) as instance:
        config = instance.get_concurrency_config()
        assert config.pool_config.default_pool_limit == 2
        assert config.run_queue_config is not None
        assert config.run_queue_config.max_concurrent_runs == 4
        assert instance.run_monitoring_enabled
