from pathlib import Path

import pytest

from dataflow_dagster import registry
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.preparer import workers
from dataflow_dagster_tests.processes import Children
from dataflow_dagster_tests.steps.driving import Ground, draw, step
from dataflow_dagster_tests.steps.sabotage import Sabotaged


@pytest.fixture(autouse=True)
def known_sabotage(known_probes: None) -> None:
    registry.register("Probe")(Sabotaged)


def test_decoders_that_crash_or_hang_cost_their_rows_alone(
    ground: Ground, children: Children
) -> None:
    names = ["a.png", "crash.png", "b.png", "hang.png", "c.png", "deaf.png", "leave.png", "d.png"]
    for name in names:
        draw(ground.source / name)
    ground.rows(*({"image": name} for name in names))
    outcome = ground.run(step("Sabotaged"), media_timeout=1)
    crashed, slow = "decoder_crashed", "decoder_timeout"
    assert outcome.kinds("captions") == [None, crashed, None, slow, None, slow, crashed, None]
    assert [row["text"] for row in outcome.rows()[::2][:3]] == ["4x4 (255, 0, 0)"] * 3
    assert children.running() == []
    assert all("crash.png" in row["message"] for row in outcome.errors()[:1])


def test_a_model_of_a_script_decodes_in_threads(ground: Ground) -> None:
    class Homemade(Sabotaged):
        """Known to this process alone."""

    registry.register("Probe")(Homemade)
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png"}, {"image": "missing.png"})
    outcome = ground.run(step("Homemade"))
    assert outcome.kinds("captions") == [None, "missing_file"]


def test_a_step_that_reads_texts_begins_no_process(ground: Ground, children: Children) -> None:
    ground.rows({"text": "a"})
    pipeline = ground.pipeline(step("Upper"))
    ground.run(step("Upper"))
    with StepRun(pipeline, pipeline.steps[0]):
        assert children.running() == []


def test_the_cores_stated_say_how_many_processes_decode(ground: Ground) -> None:
    def counted(cpus: float) -> int:
        return workers(ground.pipeline(step("Look", resources={"cpus": cpus})).steps[0])

    assert [counted(cpus) for cpus in (0.5, 4.0, 64.0)] == [2, 4, 16]


def test_the_folder_of_the_run_holds_no_trace_of_decoders(ground: Ground) -> None:
    draw(ground.source / "a.png")
    ground.rows({"image": "a.png"})
    ground.run(step("Look"))
    assert {path.name for path in Path(ground.folder).iterdir()} == {
        "in",
        "base",
        "out",
        "log",
        "probes.yaml",
    }
