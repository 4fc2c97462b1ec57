"""Pipelines whose folders lie in an object store: a real S3 server, machines of their own."""

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.ledger import trail
from dataflow_dagster.ledger.ownership import ShardBusyError
from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster.stores import lock, mirrors
from dataflow_dagster.stores.store import StoreError
from dataflow_dagster_tests.object_store import Cable, Machines, bucket, stored
from dataflow_dagster_tests.steps import probes
from dataflow_dagster_tests.steps.driving import Ground, many, step

ROOT = Path(__file__).parents[2]
STORE = {"base_folder": "s3://bucket/base", "save_folder": "s3://bucket/out"}


def local(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def compared(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without manifests, which hold times."""
    return {name: content for name, content in files.items() if "manifest" not in name}


@pytest.mark.parametrize("keys", [{}, {"shards": 2, "format": "parquet"}])
def test_results_in_a_store_are_those_of_a_run_on_disk(
    ground: Ground, s3: Any, machines: Machines, keys: dict[str, Any]
) -> None:
    many(ground)
    steps = [step("Paint", refuses=["t3"]), step("Look")]
    ground.run(*steps, **keys)
    ground.run(*steps, **keys, **STORE)
    assert compared(stored(s3, "out")) == compared(local(ground.folder / "out"))
    machines.new()
    again = ground.run(*steps, **keys, **STORE)
    assert ground.asked() == ["t3"]  # which failed, and is tried again
    assert again.tally("captions").reused == 11
    assert compared(stored(s3, "out")) == compared(local(ground.folder / "out"))


def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What S3's client asks its server for from now on, by kind of request."""
    from aiobotocore.client import AioBaseClient

    calls: Counter[str] = Counter()
    ask = AioBaseClient._make_api_call  # noqa: SLF001  # every request goes through it

    async def counted(client: Any, operation: str, keys: Any) -> Any:
        calls[operation] += 1
        return await ask(client, operation, keys)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", counted)
    return calls


def test_a_run_with_nothing_to_do_asks_the_store_little(
    ground: Ground, s3: Any, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(ground)
    steps = [step("Upper"), step("Paint")]
    monkeypatch.setattr(lock, "BEAT_S", 60.0)  # a slow machine's beats do not count
    calls = asked(monkeypatch)
    ground.run(*steps, **STORE)
    assert 0 < calls.total() < 100
    calls.clear()
    ground.run(*steps, **STORE)
    assert calls == {"ListObjectsV2": 5}
    calls.clear()
    machines.new()
    ground.run(*steps, **STORE)
    assert ground.opened() == 0
    assert calls == {"ListObjectsV2": 5, "GetObject": 4}  # the manifests


def test_a_changed_prompt_or_split_and_a_base_of_its_own_are_answered_as_on_disk(
    ground: Ground, s3: Any, machines: Machines
) -> None:
    many(ground)
    ground.run(step("Dice"), step("Paint"), shards=2, **STORE)
    machines.new()
    other = ground.run(step("Dice"), step("Paint"), shards=3, **STORE)
    assert ground.opened() == 0
    assert other.tally("generated_images").reused == 12
    machines.new()
    changed = ground.run(step("Dice"), step("Paint", prompt="!"), shards=3, **STORE)
    assert changed.tally("texts").reused == changed.tally("generated_images").computed == 12
    machines.new()
    back = ground.run(step("Dice"), step("Paint"), shards=2, **STORE)
    assert back.tally("generated_images").rows == 12
    assert [row["text"] for row in back.rows()] == [row["text"] for row in other.rows()]


def test_a_prompt_that_comes_back_on_another_machine_finds_its_answers(
    ground: Ground, s3: Any, machines: Machines
) -> None:
    many(ground)
    for prompt, kept in (("A ", 0), ("B ", 2), ("A ", 2)):
        outcome = ground.run(step("Upper", prompt=prompt), **STORE)
        assert [row["text"] for row in outcome.rows()] == [f"{prompt}T{n}" for n in range(12)]
        assert sum(".before" in name for name in stored(s3, "base")) == kept
        machines.new()
    assert ground.opened() == 0


@pytest.mark.parametrize(
    "keys", [{"save_folder": "s3://bucket/out"}, {"base_folder": "s3://bucket/base"}]
)
def test_one_folder_may_be_in_a_store_and_the_other_here(
    ground: Ground, s3: Any, machines: Machines, keys: dict[str, Any]
) -> None:
    many(ground)
    ground.run(step("Paint"))
    whole = compared(local(ground.folder / "out"))
    ground.run(step("Paint"), **keys)
    there = stored(s3, "out") if "save_folder" in keys else local(ground.folder / "out")
    assert compared(there) == whole


def killed(ground: Ground, one: dict[str, Any]) -> None:
    """A process of its own, which is killed while it answers."""
    path = ground.file(one, **STORE)
    command = [sys.executable, "-m", "dataflow_dagster_tests.steps.driving", str(path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", [pytest.param("Dice", marks=pytest.mark.full), "Paint"])
def test_a_run_whose_machine_is_lost_goes_on_elsewhere(
    tmp_path: Path, s3: Any, machines: Machines, name: str
) -> None:
    lost, whole = grounds = [Ground(tmp_path / side) for side in ("lost", "whole")]
    for ground in grounds:
        many(ground, 40)
    killed(lost, step(name, dies_at="t33", takes_s=0.06))
    assert not s3.exists(f"bucket/base/step_1_Probe_{name}/result.jsonl")
    done = set(lost.asked())
    machines.new()
    outcome = lost.run(step(name), **STORE)
    again = done & set(lost.asked())
    assert len(again) < len(done) - 8  # what was answered in the last half second
    reused = outcome.tally(outcome.pipeline.steps[0].asset).reused
    assert reused == len(done) - len(again)
    whole.run(step(name))
    assert compared(stored(s3, "out")) == compared(local(whole.folder / "out"))
    left = [file for file in stored(s3, "base") if ".part-" in file or file.endswith(".owner")]
    assert left == []


def test_a_killed_run_goes_on_at_once_on_its_own_machine(
    ground: Ground, s3: Any, machines: Machines
) -> None:
    many(ground, 20)
    killed(ground, step("Dice", dies_at="t13", takes_s=0.01))
    done = set(ground.asked())
    outcome = ground.run(step("Dice"), **STORE)
    assert len(done & set(ground.asked())) <= probes.WINDOW
    assert [row["id"] for row in outcome.rows()] == list(range(20))


def test_answers_of_another_shard_in_the_making_are_found(
    ground: Ground, s3: Any, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(ground, 20)
    monkeypatch.setattr(trail, "SEND_S", 0.05)
    killed(ground, step("Dice", dies_at="t19", takes_s=0.1))
    machines.new()
    outcome = ground.run(step("Dice"), shards=2, **STORE)
    assert outcome.tally("texts").reused > 5


def test_two_machines_do_not_write_one_shard(ground: Ground, s3: Any, machines: Machines) -> None:
    many(ground)
    ground.run(step("Upper"), **STORE)
    target = Layout(ground.pipeline(step("Upper"), **STORE)).shard("texts")
    with PartWriter(target):
        machines.new()
        with pytest.raises(
            ShardBusyError, match=r"s3://bucket/base/.*result\.jsonl is being written.*process \d+"
        ):
            ground.run(step("Upper", prompt="!"), **STORE)
    assert ground.run(step("Upper", prompt="!"), **STORE).rows()[0]["text"] == "!T0"


def test_a_store_that_goes_away_stops_the_run_and_the_next_goes_on(
    ground: Ground, s3_server: str, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    cable = Cable(s3_server)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(trail, "SEND_S", 0.1)
    bucket(cable.url, monkeypatch)
    many(ground, 60)
    answered = probes.Dice.good_answer

    def good_answer(self: probes.Dice, request: Request) -> Answer:
        cable.cut = cable.cut or request.prompt == "t20"
        return answered(self, request)

    monkeypatch.setattr(probes.Dice, "good_answer", good_answer)
    with pytest.raises(StoreError, match="s3://bucket/base/step_1_Probe_Dice/result"):
        ground.run(step("Dice", takes_s=0.02), **STORE)
    monkeypatch.setattr(probes.Dice, "good_answer", answered)
    cable.cut = False
    machines.new()
    outcome = ground.run(step("Dice"), **STORE)
    assert outcome.tally("texts").reused >= 4
    assert [row["id"] for row in outcome.rows()] == list(range(60))
    cable.shutdown()
    cable.server_close()


def test_a_bucket_that_is_not_there_is_told_before_anything_is_done(
    ground: Ground, s3: Any, machines: Machines
) -> None:
    many(ground)
    layout = Layout(ground.pipeline(step("Upper"), **{**STORE, "base_folder": "s3://none/x"}))
    with pytest.raises(StoreError, match=r"s3://none/x.*bucket does not exist"):
        mirrors.check(layout.base_folder)


def test_a_run_reads_nothing_that_it_writes_in_a_store(
    ground: Ground, s3: Any, machines: Machines
) -> None:
    ground.rows({"image": "s3://bucket/base/step_1_Probe_Paint/generated_images/x.png"})
    outcome = ground.run(step("Paint", input_key="image"), step("Look", input_key="image"), **STORE)
    assert outcome.kinds("captions") == ["inside_output"]


@pytest.mark.parametrize(
    "folder", ["memory://x", "https://host/x", "s3://", "sftp://me:secret@host/x"]
)
def test_folders_that_no_run_could_share_are_refused_with_their_line(
    ground: Ground, folder: str
) -> None:
    with pytest.raises(PipelineError, match=r"probes\.yaml:\d+.*s3://bucket/folder") as refused:
        ground.pipeline(step("Upper"), save_folder=folder)
    assert "secret@" not in str(refused.value)
