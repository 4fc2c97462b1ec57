from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.factory.versions import code_versions
from dataflow_dagster_tests.toys.pipelines import NAME, PAINT, pipeline, with_config

pytestmark = pytest.mark.usefixtures("toys")


def _versions(folder: Path, *steps: dict[str, Any], **keys: Any) -> dict[str, str]:
    return code_versions(pipeline(folder, steps or (NAME, PAINT), **keys))


def _changed(old: dict[str, str], new: dict[str, str]) -> set[str]:
    return {asset for asset in old if old[asset] != new[asset]}


def test_an_edited_prompt_changes_captions_and_all_below(tmp_path: Path) -> None:
    edited = _versions(tmp_path, with_config(NAME, prompt="one {color}"), PAINT)
    assert _changed(_versions(tmp_path), edited) == {"captions", "generated_images", "results"}


def test_an_edited_last_step_leaves_what_is_above(tmp_path: Path) -> None:
    edited = _versions(tmp_path, NAME, with_config(PAINT, side=16))
    assert _changed(_versions(tmp_path), edited) == {"generated_images", "results"}


@pytest.mark.parametrize(
    "edited",
    [
        {"batch_size": 64},
        {"resources": {"gpus": 4, "pool": "big"}},
        {"trace": "elsewhere"},
    ],
)
def test_what_only_decides_speed_or_place_changes_nothing(
    tmp_path: Path, edited: dict[str, Any]
) -> None:
    keys = {"resources"} & edited.keys()
    step = {**NAME, **edited} if keys else with_config(NAME, **edited)
    assert _versions(tmp_path, step, PAINT) == _versions(tmp_path)
    assert _versions(tmp_path, shards=8, max_failed=0.5) == _versions(tmp_path)


def test_seed_and_repeats_change_the_steps_and_not_raw_meta(tmp_path: Path) -> None:
    steps = {"captions", "generated_images", "results"}
    assert _changed(_versions(tmp_path), _versions(tmp_path, seed=7)) == steps
    repeated = _versions(tmp_path, with_config(NAME, repeat_time=3), PAINT)
    assert _changed(_versions(tmp_path), repeated) == steps
