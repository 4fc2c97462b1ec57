import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.engines.transformers.session import open_session as open_transformers
from dataflow_dagster.engines.vllm.session import VllmSession, open_session
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.requests import (
    GREEDY,
    LONG,
    PROMPT,
    TRANSFORMERS,
    VLLM,
    WILD,
    answer,
    answer_once,
    ask,
    language,
    make_babbler,
    picture,
    texts,
)

pytestmark = [pytest.mark.vllm, pytest.mark.usefixtures("needs_vllm")]

EIGHT = [ask(number) for number in range(8)]
LIMIT = 60
CPUS = os.sched_getaffinity(0)


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_babbler(tmp_path_factory.mktemp("models") / "babbler")


@pytest.fixture(scope="module")
def greedy(needs_vllm: None) -> Iterator[VllmSession]:
    session = open_session(VLLM, language(max_model_len=LIMIT, max_num_seqs=4, batch_size=2))
    yield session
    session.close()


def test_the_tokens_are_those_of_transformers(greedy: VllmSession) -> None:
    other = open_transformers(TRANSFORMERS, language(max_model_len=LIMIT))
    assert answer(greedy, EIGHT) == answer_once(other, EIGHT)


@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_any_number_of_requests_is_answered(greedy: VllmSession, count: int) -> None:
    answered = answer(greedy, EIGHT[:count])
    assert all(isinstance(given, Answer) for given in answered.values())


def test_requests_are_taken_only_as_they_are_needed(greedy: VllmSession) -> None:
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(20):
            taken.append(number)
            yield ask(number)

    answers = greedy.answers(requests())
    next(answers)
    assert len(taken) == 6  # max_num_seqs that run, batch_size that wait
    assert len(list(answers)) == 19


def test_a_prompt_beyond_max_model_len_costs_one_row(greedy: VllmSession) -> None:
    answered = answer(greedy, [ask(0), ask(1, prompt=LONG), ask(2), ask(3, prompt=PROMPT * 900)])
    for number in (1, 3):
        refused = answered[number]
        assert isinstance(refused, RowError)
        assert refused.kind == "prompt_too_long"
        assert str(LIMIT) in refused.message
    assert texts({0: answered[0], 2: answered[2]}) == texts(answer(greedy, [ask(0), ask(2)]))


def test_a_row_the_engine_cannot_take_costs_that_row(greedy: VllmSession) -> None:
    answered = answer(greedy, [ask(0), ask(1, prompt="\ud800" + PROMPT), ask(2)])
    refused = answered[1]
    assert isinstance(refused, RowError)
    assert refused.kind == "refused"
    assert isinstance(answered[0], Answer)
    assert isinstance(answered[2], Answer)


def test_answers_given_up_halfway_leave_nothing_for_the_next_shard(greedy: VllmSession) -> None:
    answers = greedy.answers(iter(EIGHT))
    next(answers)
    answers.close()
    assert set(answer(greedy, EIGHT[:2])) == {0, 1}


def test_a_penalty_counts_the_same_tokens_as_in_transformers(babbler: str) -> None:
    settings = language(replace(GREEDY, repetition_penalty=1.3), model_path=babbler)
    other = open_transformers(TRANSFORMERS, settings)
    assert answer_once(open_session(VLLM, settings), EIGHT) == answer_once(other, EIGHT)


def test_sampled_answers_follow_their_seeds_alone(babbler: str) -> None:
    session = open_session(
        VLLM, language(replace(WILD, top_k=40, top_p=0.95, max_tokens=12), model_path=babbler)
    )
    rows = [Request(number, 2**63 - 1 - number, PROMPT, picture(0)) for number in range(6)]
    together = texts(answer(session, rows))
    alone = texts(answer(session, rows[2:3]))
    again = texts(answer_once(session, list(reversed(rows))))
    assert len(set(together.values())) == 6
    assert alone[2] == together[2]
    assert again == together


def test_an_open_engine_leaves_the_other_cpus_to_the_decoders(greedy: VllmSession) -> None:
    assert greedy
    decoder = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
    seen = subprocess.run(decoder, capture_output=True, text=True, check=True).stdout
    assert int(seen) == len(os.sched_getaffinity(0)) == len(CPUS)


def test_a_closed_engine_leaves_no_process_thread_or_binding() -> None:
    cpus, threads = os.sched_getaffinity(0), set(threading.enumerate())
    session = open_session(VLLM, language(replace(GREEDY, max_tokens=2)))
    (cut,) = answer_once(session, EIGHT[:1]).values()
    assert isinstance(cut, Answer)
    assert (cut.details["completion_tokens"], cut.details["finish_reason"]) == (2, "length")
    assert os.sched_getaffinity(0) == cpus
    assert not multiprocessing.active_children()
    assert not {thread.name for thread in threading.enumerate() if thread not in threads}


@pytest.mark.full
@pytest.mark.slow
def test_an_engine_in_processes_of_its_own_answers_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    threads = set(threading.enumerate())
    settings = language(max_model_len=LIMIT, max_num_seqs=4, batch_size=2)
    session = open_session(VLLM, settings)
    rows = [*EIGHT, ask(8, prompt=LONG), ask(9, prompt="\ud800" + PROMPT)]
    unfinished = session.answers(iter(EIGHT))
    next(unfinished)
    unfinished.close()
    answered = answer_once(session, rows)
    other = answer_once(open_transformers(TRANSFORMERS, settings), rows)
    assert {number: answered[number] for number in range(8)} == {
        number: other[number] for number in range(8)
    }
    refusals = [answered[8], answered[9]]
    assert [given.kind for given in refusals if isinstance(given, RowError)] == [
        "prompt_too_long",
        "refused",
    ]
    assert not multiprocessing.active_children()
    assert not {thread.name for thread in threading.enumerate() if thread not in threads}


@pytest.mark.full
@pytest.mark.slow
def test_a_dead_engine_ends_the_shard_and_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    session = open_session(VLLM, language(max_num_seqs=1, batch_size=1))
    answers = session.answers(Request(number, number, PROMPT, picture(0)) for number in range(400))
    next(answers)
    for child in multiprocessing.active_children():
        child.kill()
    with pytest.raises(Exception, match="engine has died"):
        list(answers)
    session.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("setting", "value"), [("gpu_memory_utilization", 0.5), ("tensor_parallel_size", 2)]
)
def test_what_is_for_gpus_is_refused_on_a_cpu(setting: str, value: float) -> None:
    with pytest.raises(UnfitSettingError, match=setting):
        open_session(VLLM, language(**{setting: value}))


def test_seeded_prompts_that_fill_more_than_one_of_the_engines_batches_are_all_answered() -> None:
    """vLLM would work one of them off in two parts, which ends it on a CPU."""
    session = open_session(VLLM, language(sampling=WILD, max_num_seqs=4))
    long = [ask(number, prompt=PROMPT + " a red circle" * 450) for number in range(4)]
    try:
        answered = answer(session, long)
    finally:
        session.close()
    assert all(isinstance(given, Answer) for given in answered.values())
    assert min(given.details["prompt_tokens"] for given in answered.values()) > 4096 / 4
