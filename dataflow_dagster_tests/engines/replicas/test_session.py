import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from dataflow_dagster.engines.devices import Lease
from dataflow_dagster.engines.errors import EngineDiedError, StalledError, UnfitSettingError
from dataflow_dagster.engines.replicas.session import Plan, Replicas
from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.waiting import Waiting
from dataflow_dagster_tests.processes import Children

pytestmark = pytest.mark.timeout(120)


def requests(count: int) -> Iterator[Request]:
    return (Request(number, number, f"row {number}") for number in range(count))


def answer_all(
    waiting: Waiting, plan: Plan, rows: Iterator[Request], said: list[str] | None = None
) -> list[Answered]:
    told: list[str] = [] if said is None else said
    with closing(Replicas(waiting.open, plan, told.append)) as session:
        return sorted(session.answers(rows), key=lambda answered: answered[0])


def texts(answered: Sequence[Answered]) -> list[list[str]]:
    return [str(answer.text).split() for _, answer in answered if isinstance(answer, Answer)]


def numbers(answered: Sequence[Answered]) -> list[int]:
    return [number for number, _ in answered]


def test_every_row_is_answered_once_by_processes_on_devices_of_their_own(
    children: Children,
) -> None:
    plan = Plan(2, Lease(("4", "5", "6", "7")))
    answered = answer_all(Waiting(pause_s=0.02), plan, requests(40))
    assert numbers(answered) == list(range(40))
    found = {(process, devices) for _, _, process, devices in texts(answered)}
    assert sorted(devices for _, devices in found) == ["4,5", "6,7"]
    assert not children.running(recursive=True)


def test_batches_are_filled_and_the_last_ones_are_worked_off_for_every_shard() -> None:
    with closing(Replicas(Waiting(batch=4).open, Plan(2), print)) as session:
        for count in (11, 1, 6):
            assert sorted(numbers(list(session.answers(requests(count))))) == list(range(count))
        assert session.notes == {"batch_size": "4"}


def test_a_few_rows_open_one_replica_only() -> None:
    answered = answer_all(Waiting(), Plan(8), requests(3))
    assert len({process for _, _, process, _ in texts(answered)}) == 1


def test_pictures_arrive_and_come_back_as_they_are() -> None:
    drawn = Image.effect_noise((700, 500), 90).convert("RGB")
    rows = (Request(number, 0, "a picture", drawn) for number in range(12))
    answered = answer_all(Waiting(), Plan(2), rows)
    mirrored = ImageOps.mirror(drawn)
    assert all(isinstance(a, Answer) and a.picture == mirrored for _, a in answered)
    assert len(answered) == 12


def test_rows_of_a_replica_that_died_are_computed_again(tmp_path: Path) -> None:
    said: list[str] = []
    waiting = Waiting(pause_s=0.01, unlucky=tmp_path / "died")
    answered = answer_all(waiting, Plan(2), requests(30), said)
    assert numbers(answered) == list(range(30))
    assert len(texts(answered)) == 30
    assert any("ended with code 9; another takes its place" in line for line in said)


def test_a_replica_killed_from_outside_is_replaced() -> None:
    waiting = Waiting(pause_s=0.05)
    with closing(Replicas(waiting.open, Plan(2), print)) as session:
        answers = session.answers(requests(40))
        done = [next(answers)]
        os.kill(int(texts(done)[0][2]), signal.SIGKILL)
        done += answers
    assert sorted(numbers(done)) == list(range(40))
    assert len(texts(done)) == 40


@pytest.mark.parametrize("batch", [1, 4])
def test_a_row_that_kills_costs_itself_and_no_other(batch: int) -> None:
    waiting = Waiting(deadly=frozenset({"row 7"}), batch=batch)
    answered = answer_all(waiting, Plan(2), requests(20))
    assert numbers(answered) == list(range(20))
    failed = {n: error for n, error in answered if isinstance(error, RowError)}
    assert list(failed) == [7]
    assert failed[7].kind == "engine_died"
    assert "SIGSEGV" in failed[7].message


def test_an_engine_that_dies_at_every_row_ends_the_step(children: Children) -> None:
    deadly = frozenset(f"row {number}" for number in range(100))
    with pytest.raises(EngineDiedError, match=r"SIGSEGV; it and those before it answered no row"):
        answer_all(Waiting(deadly=deadly), Plan(2), requests(100))
    assert not children.running(recursive=True)


def test_an_engine_that_dies_as_it_opens_ends_the_step() -> None:
    with pytest.raises(EngineDiedError, match="replica 1 of 1 ended with code 3"):
        answer_all(Waiting(opening="dies"), Plan(1), requests(3))


def test_a_setting_that_no_replica_can_honour_is_told_at_once(children: Children) -> None:
    with pytest.raises(UnfitSettingError, match=r"'dtype': 'float99' cannot .*; write float32"):
        answer_all(Waiting(opening="refuses"), Plan(3), requests(30))
    assert not children.running(recursive=True)


def test_a_hung_engine_is_killed_and_told(children: Children) -> None:
    waiting, plan = Waiting(hangs_at="row 1"), Plan(1, stall_timeout_s=2)
    with pytest.raises(StalledError, match=r"no answer for 2 s \(stall_timeout_s\), 3 rows wait"):
        answer_all(waiting, plan, requests(4))
    assert not children.running(recursive=True)


def test_a_hung_replica_is_replaced() -> None:
    waiting, plan = Waiting(hangs_at="row 3"), Plan(2, stall_timeout_s=2)
    answered = answer_all(waiting, plan, requests(12))
    (failed,) = [(n, error) for n, error in answered if isinstance(error, RowError)]
    assert (failed[0], failed[1].kind) == (3, "engine_died")


def slow_rows(count: int, *gaps: int, seconds: float) -> Iterator[Request]:
    for request in requests(count):
        time.sleep(seconds if request.number in gaps else 0)
        yield request


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.full)])
def test_an_engine_that_waits_for_rows_is_not_hung(replicas: int) -> None:
    said: list[str] = []
    waiting, plan = Waiting(batch=4), Plan(replicas, stall_timeout_s=2.5)
    answered = answer_all(waiting, plan, slow_rows(12, 6, 11, seconds=3), said)
    assert len(texts(answered)) == 12
    assert all(line.endswith("is ready") for line in said)


def test_a_hung_engine_is_killed_though_rows_come_slowly() -> None:
    waiting, plan = Waiting(hangs_at="row 1"), Plan(1, stall_timeout_s=2.5)
    with pytest.raises(StalledError, match=r"no answer for 2.5 s"):
        answer_all(waiting, plan, slow_rows(100, *range(100), seconds=0.2))


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.full), 4])
def test_at_a_second_try_a_row_that_hangs_costs_itself_and_no_other(batch: int) -> None:
    waiting = Waiting(hangs_at="row 6", batch=batch)
    plan = Plan(1, stall_timeout_s=2.5, is_retry=True)
    answered = answer_all(waiting, plan, requests(12))
    assert numbers(answered) == list(range(12))
    (failed,) = [(n, error) for n, error in answered if isinstance(error, RowError)]
    assert (failed[0], failed[1].kind) == (6, "engine_died")
    assert "gave no answer for 2.5 s (stall_timeout_s)" in failed[1].message


def test_an_engine_that_hangs_as_it_opens_is_not_blamed_on_rows(children: Children) -> None:
    plan = Plan(1, stall_timeout_s=2.5, is_retry=True)
    with pytest.raises(StalledError):
        answer_all(Waiting(opening="hangs"), plan, requests(12))
    assert not children.running(recursive=True)


def test_answers_left_early_leave_no_process_and_the_next_shard_is_answered(
    children: Children,
) -> None:
    with closing(Replicas(Waiting(pause_s=0.01).open, Plan(2), print)) as session:
        with closing(iter(session.answers(requests(30)))) as answers:
            next(answers)
        assert not children.running(recursive=True)
        assert sorted(numbers(list(session.answers(requests(5))))) == list(range(5))
