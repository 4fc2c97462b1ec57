"""Servers that do not take all that OpenAI's classic API takes."""

from typing import Any

import pytest

from dataflow_dagster.engines.openai.chat import ChatSettings, open_chat
from dataflow_dagster.engines.session import notes_of
from dataflow_dagster_tests.engines.api_server import ApiServer, Reply, completion, error
from dataflow_dagster_tests.engines.openai.asking import asked, settings
from dataflow_dagster_tests.engines.requests import texts

ANSWER = Reply(body=completion("fine"))
SAMPLING: dict[str, Any] = {
    "max_tokens": 9,
    "temperature": 0.2,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
}


def answers_and_notes(server: ApiServer, *prompts: str, **options: Any) -> tuple[object, object]:
    session = open_chat(settings(server, max_num_seqs=1), ChatSettings(options=options))
    try:
        return texts(dict(session.answers(iter(asked(*prompts))))), notes_of(session)
    finally:
        session.close()


def not_taken(key: str, value: object) -> Reply:
    """https://platform.openai.com/docs/guides/latest-model: gpt-5 and the o-series."""
    return error(
        400,
        f"Unsupported value: '{key}' does not support {value} with this model. Only the default "
        "(1) value is supported.",
        type="invalid_request_error",
        param=key,
        code="unsupported_value",
    )


def test_a_model_that_takes_no_sampling_is_asked_without_and_it_is_noted(
    server: ApiServer,
) -> None:
    refused = [not_taken(key, value) for key, value in SAMPLING.items() if key != "max_tokens"]
    server.replies["a"] = [*refused, ANSWER]
    given, notes = answers_and_notes(server, "a", "b", **SAMPLING)
    assert given == {0: "fine", 1: "said: b"}
    assert set(server.bodies[-1]) == {"model", "messages", "seed", "max_tokens"}
    assert len(server.bodies) == 6
    told = "frequency_penalty, presence_penalty, temperature, top_p"
    assert notes == {"not_sent": f"{told}: the model does not take it"}


@pytest.mark.parametrize(
    ("reply", "left"),
    [
        (error(400, "`temperature` and `top_p` cannot both be specified"), {"temperature"}),
        (error(400, "`temperature` is deprecated for this model"), {"top_p"}),
        (Reply(400, b"Unknown parameter: temperature"), {"top_p"}),
        (Reply(400, {"error": "Argument not supported on this model: top_p"}), {"temperature"}),
        (
            Reply(400, [{"error": {"code": 400, "message": "Unknown name: top_p"}}]),
            {"temperature"},
        ),
    ],
)
def test_the_key_that_is_not_taken_is_read_out_of_any_refusal(
    server: ApiServer, reply: Reply, left: set[str]
) -> None:
    server.replies["a"] = [reply, ANSWER]
    given, _ = answers_and_notes(server, "a", temperature=0.2, top_p=0.9)
    assert given == {0: "fine"}
    assert set(server.bodies[-1]) - {"model", "messages", "seed"} == left


def test_a_server_that_takes_all_leaves_no_note(server: ApiServer) -> None:
    assert answers_and_notes(server, "a", **SAMPLING) == ({0: "said: a"}, {})
