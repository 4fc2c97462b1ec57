"""Prompts through a chat session against a server of the tests."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from dataflow_dagster.engines.errors import EngineRefusedError
from dataflow_dagster.engines.openai.chat import ChatSettings, open_chat
from dataflow_dagster.engines.openai.client import ApiSettings
from dataflow_dagster.engines.openai.providers import find_endpoint
from dataflow_dagster.engines.openai.retries import Patience
from dataflow_dagster.engines.openai.session import ApiSession
from dataflow_dagster.engines.session import Answer, Answered, Request
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.api_server import KEY, ApiServer


def settings(server: ApiServer, key: str | None = KEY, **changes: Any) -> ApiSettings:
    given = {"max_retries": 3, "timeout_s": 5.0, "first_wait_s": 0.01, "max_num_seqs": 4, **changes}
    most = given.pop("max_num_seqs")
    endpoint = find_endpoint("gpt-4o", server.url)
    return ApiSettings(endpoint, Patience(**given), most, SecretStr(key) if key else None)


def asked(*prompts: str) -> list[Request]:
    return [Request(number, number, prompt) for number, prompt in enumerate(prompts)]


def answered(
    server: ApiServer, *prompts: str, chat: ChatSettings | None = None, **changes: Any
) -> dict[int, Answer | RowError]:
    session = open_chat(settings(server, **changes), chat or ChatSettings())
    try:
        pairs = list(session.answers(iter(asked(*prompts))))
    finally:
        session.close()
    assert sorted(number for number, _ in pairs) == list(range(len(prompts)))
    return dict(pairs)


def kind(given: Answer | RowError) -> str:
    assert isinstance(given, RowError)
    return given.kind


def until_it_fails(session: ApiSession, requests: Sequence[Request]) -> tuple[list[Answered], str]:
    kept: list[Answered] = []
    answers = session.answers(iter(requests))
    try:
        with pytest.raises(EngineRefusedError) as fatal:
            kept.extend(answers)
    finally:
        session.close()
    return kept, str(fatal.value)
