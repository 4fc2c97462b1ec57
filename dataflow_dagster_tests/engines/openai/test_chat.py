"""Chat completions against a server that fails in every way servers do."""

import gc
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count

import pytest

from dataflow_dagster.engines.openai.chat import SEEDS, ChatSettings, open_chat
from dataflow_dagster.engines.openai.retries import GIVE_UP_AFTER
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster_tests.engines.api_server import KEY, ApiServer, Reply, completion, error
from dataflow_dagster_tests.engines.openai.asking import (
    answered,
    asked,
    kind,
    settings,
    until_it_fails,
)
from dataflow_dagster_tests.engines.requests import texts


def test_a_request_is_a_system_prompt_and_the_rows_text(server: ApiServer) -> None:
    chat = ChatSettings("be brief", {"max_tokens": 5, "temperature": 0})
    (given,) = answered(server, "hello", chat=chat).values()
    assert isinstance(given, Answer)
    assert given.text == "said: hello"
    assert given.details == {"prompt_tokens": 7, "completion_tokens": 3, "finish_reason": "stop"}
    assert server.bodies == [
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hello"},
            ],
            "seed": 0,
            "max_tokens": 5,
            "temperature": 0,
        }
    ]
    assert server.keys == [f"Bearer {KEY}"]


def test_a_rows_seed_is_sent_within_32_bits(server: ApiServer) -> None:
    session = open_chat(settings(server), ChatSettings())
    list(session.answers(iter([Request(0, 2**63 - 1, "a")])))
    session.close()
    assert server.bodies[0]["seed"] == (2**63 - 1) % SEEDS < 2**31


def test_answers_that_overtake_each_other_join_their_own_rows(server: ApiServer) -> None:
    prompts = [f"row {number}" for number in range(12)]
    for late, prompt in enumerate(reversed(prompts)):
        reply = Reply(body=completion(f"said: {prompt}"), delay_s=0.02 * (late % 4))
        server.replies[prompt] = [reply]
    given = texts(answered(server, *prompts))
    assert given == {number: f"said: {prompt}" for number, prompt in enumerate(prompts)}


def test_max_num_seqs_requests_are_in_flight_and_no_more_are_taken(server: ApiServer) -> None:
    taken = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        for number in count():
            taken += 1
            server.replies[str(number)] = [Reply(body=completion("late"), delay_s=0.1)]
            yield Request(number, 0, str(number))

    session = open_chat(settings(server, max_num_seqs=3), ChatSettings())
    answers = session.answers(endless())
    for given, _ in enumerate(answers, 1):
        assert taken - given < 3 + 3  # those in flight, and those that have landed together
        if given == 9:
            break
    answers.close()
    session.close()
    assert server.most == 3


def test_429_is_waited_out_as_long_as_the_server_asks(server: ApiServer) -> None:
    limited = error(429, headers={"Retry-After": "0.4"})
    server.replies["a"] = [limited, Reply(body=completion("fine"))]
    assert texts(answered(server, "a")) == {0: "fine"}
    assert server.times[1] - server.times[0] >= 0.4


def test_429_holds_all_requests_back_together(server: ApiServer) -> None:
    server.replies["a"] = [error(429, headers={"Retry-After": "0.5"}), Reply(body=completion("a"))]
    server.replies["b"] = [Reply(body=completion("b"), delay_s=0.1)]
    assert texts(answered(server, "a", "b", "c", "d", max_num_seqs=2)) == {
        0: "a",
        1: "b",
        2: "said: c",
        3: "said: d",
    }
    assert min(server.times[2:]) - server.times[0] >= 0.5


def test_a_retry_after_may_be_a_date(server: ApiServer) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server.replies["a"] = [error(503, headers={"Retry-After": soon}), Reply(body=completion("ok"))]
    assert texts(answered(server, "a")) == {0: "ok"}
    assert server.times[1] - server.times[0] >= 0.9


def test_a_wait_beyond_the_users_patience_is_not_waited(server: ApiServer) -> None:
    server.replies["a"] = [error(429, headers={"Retry-After": "86400"})]
    given = answered(server, "a")[0]
    assert kind(given) == "rate_limited"
    assert "86400 s" in str(given)


@pytest.mark.parametrize(
    ("passing", "failed"),
    [
        (error(500), "server_error"),
        (error(502), "server_error"),
        (error(408), "server_error"),
        (Reply(body={"choices": []}, drop_after=5), "connection"),
        (Reply(body=b'{"choices": [{"mess'), "bad_answer"),
        (Reply(body={"unlike": "a completion"}), "bad_answer"),
        (Reply(body=[1]), "bad_answer"),
        (Reply(body={}, delay_s=0.6), "timeout"),
    ],
    ids=["500", "502", "408", "dropped", "half json", "other json", "a list", "slow"],
)
def test_what_passes_is_tried_again_and_what_does_not_costs_the_row(
    server: ApiServer, passing: Reply, failed: str
) -> None:
    server.replies["a"] = [passing, Reply(body=completion("fine"))]
    server.replies["b"] = [passing]
    timeout_s = passing.delay_s / 2 or 20.0  # of a machine at work no other reply takes as long
    given = answered(server, "a", "b", "c", timeout_s=timeout_s, max_retries=2)
    assert [given[0], given[2]] == [
        Answer("fine", details=dict(given[0].details)),
        Answer("said: c", details=dict(given[2].details)),
    ]
    assert kind(given[1]) == failed
    assert "3 tries" in str(given[1])
    assert server.tries("b") == 3


def test_max_retries_0_tries_once(server: ApiServer) -> None:
    server.replies["a"] = [error(500)]
    assert kind(answered(server, "a", max_retries=0)[0]) == "server_error"
    assert server.tries("a") == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "api_key"),
        (error(403, "not yours"), "api_key"),
        (error(404, "The model `gpt-4o` does not exist", code="model_not_found"), "model"),
        (error(400, "no such model", param="model"), "model"),
        (error(429, "You exceeded your quota", code="insufficient_quota"), "credit"),
    ],
)
def test_what_would_fail_every_row_stops_at_once_and_keeps_the_work_done(
    server: ApiServer, reply: Reply, said: str
) -> None:
    server.replies["bad"] = [reply]
    session = open_chat(settings(server, max_num_seqs=1), ChatSettings())
    kept, message = until_it_fails(session, asked("a", "b", "bad", "never", "asked"))
    assert [number for number, _ in kept] == [0, 1]
    assert said in message
    assert KEY not in message
    assert server.tries("bad") == 1
    assert server.tries("asked") == 0


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error(400, "bad picture"), "bad_request"),
        (error(413, "too big"), "request_too_large"),
        (error(422, "odd"), "bad_request"),
        (error(400, "x", code="context_length_exceeded"), "prompt_too_long"),
        (error(400, "This model's maximum context length is 256 tokens"), "prompt_too_long"),
        (error(400, "x", code="content_policy_violation"), "refused"),
        (Reply(body=completion(None, refusal="I cannot help with that")), "refused"),
        (Reply(body=completion("", "content_filter")), "refused"),
        (Reply(body=completion("")), "empty_answer"),
        (Reply(body=completion(" \n")), "empty_answer"),
        (Reply(body=completion(None, "length")), "empty_answer"),
    ],
)
def test_a_refusal_costs_one_row_and_is_not_tried_again(
    server: ApiServer, reply: Reply, expected: str
) -> None:
    server.replies["b"] = [reply]
    given = answered(server, "a", "b", "c")
    assert [isinstance(answer, Answer) for answer in given.values()].count(True) == 2
    assert kind(given[1]) == expected
    assert server.tries("b") == 1


def test_text_that_cannot_be_sent_costs_one_row(server: ApiServer) -> None:
    given = answered(server, "a", "half a \ud83d character", "c")
    assert kind(given[1]) == "bad_text"
    assert texts(given) == {0: "said: a", 1: None, 2: "said: c"}


def test_a_server_that_answers_no_row_any_more_ends_the_shard(server: ApiServer) -> None:
    prompts = ["a", *(f"dead {number}" for number in range(3 * GIVE_UP_AFTER))]
    server.replies |= {prompt: [error(500)] for prompt in prompts[1:]}
    session = open_chat(settings(server, max_retries=1, max_num_seqs=2), ChatSettings())
    kept, message = until_it_fails(session, asked(*prompts))
    assert texts(dict(kept))[0] == "said: a"
    assert f"none of the last {GIVE_UP_AFTER} rows" in message
    assert len(kept) < 2 * GIVE_UP_AFTER


def test_a_server_that_is_not_there_ends_the_shard() -> None:
    with ApiServer().running() as gone:
        pass
    session = open_chat(settings(gone, max_retries=1), ChatSettings())
    kept, message = until_it_fails(session, asked(*map(str, range(2 * GIVE_UP_AFTER))))
    assert {kind(given) for _, given in kept} == {"connection"}
    assert "the connection failed" in message


def test_a_model_that_wants_max_completion_tokens_gets_it_and_is_remembered(
    server: ApiServer,
) -> None:
    unsupported = error(
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        code="unsupported_parameter",
        param="max_tokens",
    )
    server.replies["a"] = [unsupported, Reply(body=completion("fine"))]
    chat = ChatSettings(options={"max_tokens": 9})
    assert texts(answered(server, "a", "b", chat=chat, max_num_seqs=1)) == {0: "fine", 1: "said: b"}
    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 9, 9]
    assert "max_tokens" not in server.bodies[2]


def test_a_server_that_knows_no_seed_is_asked_without(server: ApiServer) -> None:
    server.replies["a"] = [
        error(422, "Extra inputs are not permitted: seed"),
        Reply(body=completion("fine")),
    ]
    assert texts(answered(server, "a")) == {0: "fine"}
    assert "seed" not in server.bodies[1]


def test_a_session_left_early_answers_the_next_shard_and_leaves_no_thread(
    server: ApiServer,
) -> None:
    before = threading.active_count()
    server.replies["slow"] = [Reply(body=completion("slow"), delay_s=0.3)]
    session = open_chat(settings(server), ChatSettings())
    first = session.answers(iter(asked("a", "slow", "slow")))
    next(first)
    first.close()
    again = dict(session.answers(iter(asked("x", "y"))))
    assert texts(again) == {0: "said: x", 1: "said: y"}
    session.close()
    gc.collect()
    deadline = time.monotonic() + 3
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)  # the server's own threads
    assert "api" not in {thread.name for thread in threading.enumerate()}
