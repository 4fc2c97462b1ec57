from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.text_api import APIGenerator, ApiTextGenerator, GPTTextGenerator
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.api_server import ApiServer
from dataflow_dagster_tests.engines.requests import answer_once
from dataflow_dagster_tests.toys.pipelines import pipeline


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


def posted(server: ApiServer, model: ApiTextGenerator, text: str = "a {red} circle") -> Any:
    request = model.request(Given(0, 5, text=text))
    answer_once(model.open(model.engine()), [request])
    return server.bodies[-1]


def test_gpt_text_generator_puts_the_prompt_above_the_text(server: ApiServer) -> None:
    model = GPTTextGenerator(
        base_url=server.url, prompt="Make {it} vivid:", sys_prompt="A poet.", batch_size=3
    )
    assert posted(server, model) == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "A poet."},
            {"role": "user", "content": "Make {it} vivid:\na {red} circle"},
        ],
        "seed": 5,
        "max_tokens": 256,
    }


def test_api_generator_takes_the_prompt_as_the_system_message(server: ApiServer) -> None:
    model = APIGenerator(base_url=server.url, prompt="Make it vivid.", stream=True)
    assert posted(server, model) == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Make it vivid."},
            {"role": "user", "content": "a {red} circle"},
        ],
        "seed": 5,
        "max_tokens": 20,
        "temperature": 0.75,
        "top_p": 1,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0.5),
        ("top_p", 0.5),
        ("max_tokens", 7),
        ("stop", "."),
        ("stop", [".", "!"]),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -0.5),
    ],
)
@pytest.mark.parametrize("generator", [GPTTextGenerator, APIGenerator])
def test_each_sampling_key_is_sent_and_changes_the_key(
    server: ApiServer, generator: type[ApiTextGenerator], key: str, value: object
) -> None:
    model = generator.model_validate({"base_url": server.url, key: value})
    assert posted(server, model)[key] == value
    assert model.key_settings() != generator(base_url=server.url).key_settings()


@pytest.mark.parametrize("text", ["", " \n", None])
@pytest.mark.parametrize("generator", [GPTTextGenerator, APIGenerator])
def test_an_empty_text_costs_one_row(generator: type[ApiTextGenerator], text: str | None) -> None:
    with pytest.raises(RowError) as refused:
        generator().request(Given(0, 0, text=text))
    assert refused.value.kind == "empty_text"


def test_n_of_an_old_yaml_asks_for_as_many_answers_with_one_warning(tmp_path: Path) -> None:
    old = {"type": "TextGenerator", "name": "APIGenerator"}
    spec = pipeline(tmp_path, [{**old, "config": {"model_id": "openai:gpt-4o", "n": 3}}])
    (warning,) = spec.warnings
    assert "steps[0].config.n: is an old spelling; write 'repeat_time'" in warning
    assert spec.steps[0].config == APIGenerator(model_id="openai:gpt-4o", repeat_time=3)


@pytest.mark.parametrize("given", [{"model": "gpt-4o"}, {"temperature": 3}])
def test_api_generator_refuses_what_it_does_not_do(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        APIGenerator.model_validate(given)
