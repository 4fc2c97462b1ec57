"""Models that only the schema's tests know."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from dataflow_dagster import registry
from dataflow_dagster.engines.session import Engine, Request, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import Medium


class Speaker(Model):
    """Has the sorts of keys that the two shipped models lack."""

    reads: ClassVar[Medium] = "text"
    writes: ClassVar[Medium] = "text"
    asset: ClassVar[str] = "texts"
    old_keys: ClassVar[Mapping[str, str]] = {"api_base": "base_url"}

    base_url: str = Field("http://localhost", pattern=r"^http")
    api_key: SecretStr | None = None
    stop: str | list[str] | None = None
    options: dict[str, int] = Field(default_factory=dict)
    prompt: str = "say"

    def engine(self) -> Engine:
        raise NotImplementedError

    def request(self, given: Given) -> Request:
        raise NotImplementedError

    def open(self, engine: Engine) -> Session:
        raise NotImplementedError


@pytest.fixture
def speaker(monkeypatch: pytest.MonkeyPatch) -> type[Speaker]:
    """`Speaker` under the step type ``TestSpeaker``, also as ``Talker``, for one test."""
    known, aliases = registry.models(), {"TestSpeaker": {"Talker": "Speaker"}}
    monkeypatch.setattr(
        "dataflow_dagster.registry._MODELS", {**known, "TestSpeaker": {"Speaker": Speaker}}
    )
    monkeypatch.setattr("dataflow_dagster.registry._ALIASES", aliases)
    return Speaker
