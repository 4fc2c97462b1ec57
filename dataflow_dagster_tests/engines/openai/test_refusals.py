"""What servers say in words and forms of their own, and what it costs."""

from typing import Any

import pytest

from dataflow_dagster.engines.openai.chat import ChatSettings, open_chat
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.api_server import KEY, ApiServer, Reply, error
from dataflow_dagster_tests.engines.openai.asking import (
    answered,
    asked,
    kind,
    settings,
    until_it_fails,
)

GOOGLE: Any = {"code": 400, "status": "INVALID_ARGUMENT"}
XAI: Any = {"code": "Client specified an invalid argument"}


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "a bad picture"}},
        {"error": "a bad picture", **XAI},
        [{"error": {"message": "a bad picture", **GOOGLE}}],
        {"message": "a bad picture"},
        {"detail": "a bad picture"},
        "a bad picture",
        b"a bad\n picture",
        [],
    ],
    ids=str,
)
def test_the_servers_own_words_are_told_in_whatever_form(server: ApiServer, body: Any) -> None:
    server.replies["a"] = [Reply(400, body)]
    (given,) = answered(server, "a").values()
    said = "a bad picture" if body else "Error code: 400"
    assert isinstance(given, RowError)
    assert (given.kind, given.message) == ("bad_request", f"HTTP 400: {said}")


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(400, b"the prompt is too long: 9 tokens > 8"), "prompt_too_long"),
        (
            Reply(400, {"error": "This model's maximum prompt length is 8", **XAI}),
            "prompt_too_long",
        ),
        (
            Reply(400, [{"error": {"message": "The input token count (9) exceeds", **GOOGLE}}]),
            "prompt_too_long",
        ),
        (error(400, "x", code="exceed_context_size_error"), "prompt_too_long"),
        (Reply(403, {"error": "Content violates usage guidelines.", **XAI}), "refused"),
        (error(403, "Your input was flagged", code=403), "refused"),
        (error(403, "no", code="content_policy_violation"), "refused"),
        (error(403, "The prompt triggered our content management policy"), "refused"),
        (error(400, "Rejected as a result of our safety system"), "refused"),
        (
            error(429, "Request too large for gpt-4o on tokens per min (TPM): Limit 3, asked 4"),
            "request_too_large",
        ),
        (error(429, "The input or output tokens must be reduced"), "request_too_large"),
    ],
)
def test_a_refusal_of_one_row_is_known_by_its_words(
    server: ApiServer, reply: Reply, expected: str
) -> None:
    server.replies["b"] = [reply]
    given = answered(server, "a", "b", "c")
    assert [number for number, one in given.items() if isinstance(one, RowError)] == [1]
    assert kind(given[1]) == expected
    assert server.tries("b") == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(400, [{"error": {"message": f"API key not valid: {KEY}", **GOOGLE}}]),
        Reply(400, {"error": f"Incorrect API key provided: {KEY}", **XAI}),
        error(403, "your account was flagged for violating our usage policies"),
        Reply(401, b"Unauthorized"),
    ],
)
def test_a_key_that_is_not_accepted_stops_at_once(server: ApiServer, reply: Reply) -> None:
    server.replies["a"] = [reply]
    session = open_chat(settings(server, max_num_seqs=1), ChatSettings())
    kept, message = until_it_fails(session, asked("a", "b"))
    assert kept == []
    assert "config key" in message
    assert "'api_key'" in message
    assert KEY not in message


def test_without_a_key_no_word_of_the_server_is_masked(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.replies["a"] = [error(400, "none of the pictures is nonempty")]
    (given,) = answered(server, "a", key=None).values()
    assert isinstance(given, RowError)
    assert given.message == "HTTP 400: none of the pictures is nonempty"
    assert server.keys == ["Bearer none"]
