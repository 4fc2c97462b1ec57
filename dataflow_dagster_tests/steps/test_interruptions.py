"""Runs that are killed, run into a full disk or into each other, and the runs after them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.ledger.flushing import FLUSH_S
from dataflow_dagster.ledger.keys import Origin
from dataflow_dagster.ledger.ownership import Ownership, ShardBusyError
from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.copies import MediaCopies
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster.steps.saving import SAVE_AHEAD
from dataflow_dagster_tests.soak import kills
from dataflow_dagster_tests.steps import probes
from dataflow_dagster_tests.steps.driving import Ground, files, many, run, step
from dataflow_dagster_tests.steps.probes import WINDOW

ROOT = Path(__file__).parents[2]


def test_two_runs_on_one_shard_do_not_mix(ground: Ground) -> None:
    many(ground)
    first = ground.run(step("Upper"))
    pipeline = ground.pipeline(step("Upper", prompt="!"))
    layout = Layout(pipeline)
    target = layout.shard("texts")
    with PartWriter(target), StepRun(pipeline, pipeline.steps[0]) as late:
        with pytest.raises(ShardBusyError, match=r"result\.jsonl is being written by another run"):
            late.answer_shard(layout.shard(RAW_META), target)
        assert target.manifest() is not None  # what the first run made stays as it is
    assert first.rows("texts") == list(target.rows())


def test_a_damaged_part_costs_only_the_damaged_answers(ground: Ground) -> None:
    many(ground)
    whole = ground.run(step("Dice"))
    folder = ground.folder / "base/step_1_Probe_Dice"
    lines = (folder / "result.jsonl").read_bytes().splitlines(keepends=True)
    garbage = b"\x00\xff{{]\n" + b'"a text"\n' + lines[4][:30] + lines[5]
    for name in ("result.jsonl", "result.manifest.json"):
        (folder / name).unlink()
    part = b"".join(lines[:4]) + garbage + b"".join(lines[6:10]) + lines[10][:50]
    (folder / "result.part").write_bytes(part)
    again = ground.run(step("Dice"))
    assert sorted(ground.asked()) == ["t10", "t11", "t4", "t5"]
    assert again.rows() == whole.rows()
    assert sorted(path.name for path in folder.iterdir()) == [
        "result.jsonl",
        "result.jsonl.keys",
        "result.manifest.json",
    ]


@pytest.mark.parametrize("name", ["Dice", "Paint"])
def test_a_killed_run_goes_on_where_it_was_and_ends_as_if_uninterrupted(
    tmp_path: Path, name: str
) -> None:
    grounds = [Ground(_made(tmp_path / side)) for side in ("killed", "whole")]
    for ground in grounds:
        many(ground, 20)
    killed, whole = grounds
    _run_killed(killed, step(name, dies_at="t13", takes_s=0.01))
    assert not (killed.folder / f"base/step_1_Probe_{name}/result.jsonl").exists()
    done = set(killed.asked())
    assert len(done) == 14
    outcome = killed.run(step(name))
    again = done & set(killed.asked())
    assert len(again) <= (WINDOW if name == "Dice" else SAVE_AHEAD)  # pictures being written
    assert outcome.rows() == whole.run(step(name)).rows()
    assert files(killed.folder / "out") == files(whole.folder / "out")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _run_killed(ground: Ground, one: dict[str, Any]) -> None:
    path = ground.file(one)
    command = [sys.executable, "-m", "dataflow_dagster_tests.steps.driving", str(path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL


def test_a_disk_that_fills_up_keeps_what_was_answered(ground: Ground) -> None:
    many(ground, 200)
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from dataflow_dagster_tests.steps import driving, probes\n"
        "from dataflow_dagster.schema.loading import load_pipeline\n"
        "probes.register(); pipeline = load_pipeline(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))\n"
        "driving.run(pipeline)\n"
    )
    command = [sys.executable, "-c", code, str(ground.file(step("Dice")))]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert "OSError" in done.stderr
    assert "File too large" in done.stderr
    left = (ground.folder / "base/step_1_Probe_Dice/result.part").read_bytes()
    outcome = ground.run(step("Dice"))
    assert outcome.tally("texts").reused == left.count(b"\n") > 100
    assert len(outcome.rows()) == 200


def test_a_media_folder_that_cannot_be_written_is_told_and_the_next_run_goes_on(
    ground: Ground,
) -> None:
    many(ground)
    folder = ground.folder / "base/step_1_Probe_Paint"
    folder.mkdir(parents=True)
    (folder / "generated_images").touch()
    with pytest.raises(FileExistsError, match="generated_images"):
        ground.run(step("Paint"))
    (folder / "generated_images").unlink()
    assert ground.run(step("Paint")).tally("generated_images").computed == 12


def test_runs_killed_at_random_moments_end_in_the_files_of_a_run_nobody_killed(
    tmp_path: Path,
) -> None:
    done = kills.rounds(tmp_path, 3, seed=7)
    assert sum(one.kills for one in done) >= 3


def test_an_answer_is_on_disk_while_the_engine_is_busy_with_the_next(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(ground, 8)
    seen: list[int] = []
    asked = probes.Dice.good_answer

    def good_answer(self: probes.Dice, request: Request) -> Answer:
        if request.prompt == "t0":  # answered last of its window
            time.sleep(4 * FLUSH_S)
            part = ground.folder / "base/step_1_Probe_Dice/result.part"
            seen.append(part.read_bytes().count(b"\n"))
        return asked(self, request)

    monkeypatch.setattr(probes.Dice, "good_answer", good_answer)
    ground.run(step("Dice"))
    assert seen == [3]


def test_a_second_run_is_told_whose_the_shard_is(ground: Ground) -> None:
    many(ground)
    pipeline = ground.run(step("Upper")).pipeline
    layout = Layout(pipeline)
    with (
        PartWriter(layout.shard("texts"), Origin("x", "texts")),
        pytest.raises(
            ShardBusyError,
            match=rf"another run: process {os.getpid()} on \S+, which began at 20\d\d-",
        ),
    ):
        ground.run(step("Upper", prompt="!"))


def _killed_at(pipeline: PipelineSpec, owner: Any, name: str, **keys: Any) -> None:
    """A run that is killed as it calls what is named so."""
    pid = os.fork()
    if pid == 0:
        setattr(owner, name, lambda *given, **named: os._exit(9))
        try:
            run(pipeline, **keys)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.parametrize("again", [{}, {"recompute": True}])
def test_a_list_of_errors_in_the_making_does_not_outlive_the_next_run(
    ground: Ground, again: dict[str, Any]
) -> None:
    many(ground)
    pipeline = ground.pipeline(step("Upper"))
    if again:
        ground.run(step("Upper"))
    _killed_at(pipeline, MediaCopies, "finish", **again)
    _killed_at(pipeline, Ownership, "release", **again)
    run(pipeline)
    assert list((ground.folder / "out").rglob("*.part")) == []


@pytest.mark.parametrize("name", ["replace", "unlink"])
def test_an_index_in_the_making_does_not_outlive_the_next_run(ground: Ground, name: str) -> None:
    folder = ground.folder / "base/step_0_preprocess_format"
    for turn in range(4):
        many(ground, 4 + turn)
        _killed_at(ground.pipeline(step("Upper"), shards=2), Path, name)
    ground.run(step("Upper"), shards=2)
    assert [path.name for path in folder.rglob("*.part")] == []
