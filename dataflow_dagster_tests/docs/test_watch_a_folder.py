"""The page on folders that are watched: its pipeline, its commands, what it says of times."""

import re
from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.pipeline import pipeline_definitions
from dataflow_dagster_tests.docs.pages import coloured, commands_of, results, small, tell
from dataflow_dagster_tests.docs.reading import DOCS, blocks
from dataflow_dagster_tests.toys.pipelines import read_rows

pytest.importorskip("transformers", reason="pip install -e '.[local]'")


@pytest.mark.slow
def test_a_watched_folder_makes_partitions_that_are_run(place: Path, tmp_path: Path) -> None:
    page = DOCS / "watch-a-folder.md"
    (block,) = blocks(page, "yaml")
    of = small(place, block, "photos")
    repository = pipeline_definitions(of).get_repository_def()
    (tmp_path / "storage").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "storage")) as instance:
        look = dg.build_sensor_context(instance, repository_def=repository)
        first = repository.get_sensor_def("photos_watch").evaluate_tick(look)
        assert not first.run_requests
        look = dg.build_sensor_context(instance, cursor=first.cursor, repository_def=repository)
        (request,) = (
            repository.get_sensor_def("photos_watch").evaluate_tick(look).run_requests or []
        )
        assert request.tags["dagster/asset_partition_range_start"] == "00000-scene-001"
        job = repository.get_job("photos_pipeline")
        assert job.execute_in_process(instance=instance, tags=dict(request.tags)).success
        assert repository.get_job("photos_register").execute_in_process(instance=instance).success
    assert len(read_rows(place / "results/photos/result/00000-scene-001.jsonl")) == 4


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.usefixtures("toys")
def test_a_watched_folder_is_run_by_hand_by_the_commands_shown(place: Path) -> None:
    page = DOCS / "watch-a-folder.md"
    (block,) = blocks(page, "yaml")
    of = coloured(place, block.replace("1000", "4"), "photos", 6)
    everything, one, both = commands_of(page)
    texts = ["a red", "a green", "a blue", "a red", "a green", "a blue"]
    tell(everything)
    assert [row["text"] for row in results(of)] == texts
    first, second = sorted((place / "results/photos/result").glob("*.jsonl"))
    assert one[-1] == first.stem
    assert both[-1] == f"{first.stem}...{second.stem}"
    first.unlink()
    second.unlink()
    tell(one)
    assert (first.exists(), second.exists()) == (True, False)
    tell(both)
    assert [row["text"] for row in results(of)] == texts


@pytest.mark.parametrize(
    "said",
    [
        'schedule: "0 2 * * *"\ntimezone: Europe/Berlin\n',
        "automation: eager\n",
        'automation: {on_cron: "0 2 * * *"}\n',
    ],
)
def test_what_the_page_says_of_times_makes_a_sensor_or_schedule(place: Path, said: str) -> None:
    page = DOCS / "watch-a-folder.md"
    text = page.read_text(encoding="utf-8")
    assert all(line in text for line in said.splitlines())
    (block,) = blocks(page, "yaml")
    repository = pipeline_definitions(small(place, said + block)).get_repository_def()
    by_itself = [*repository.sensor_defs, *repository.schedule_defs]
    names = {one.name for one in by_itself}
    assert len(names - {"photos_watch"}) == 1
    assert names & set(re.findall(r"photos_\w+", text)) >= {"photos_watch"}
