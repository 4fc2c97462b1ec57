from collections.abc import Iterator

import pytest

from dataflow_dagster.models.api_images import ImageAPIGenerator
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.api_server import ApiServer, Reply, drawn
from dataflow_dagster_tests.engines.requests import answer_once


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


def test_it_draws_a_text_as_it_is_at_its_size(server: ApiServer) -> None:
    server.replies["a {red} circle"] = [Reply(body=drawn())]
    model = ImageAPIGenerator(base_url=server.url, width=1792, height=1024, quality="hd")
    request = model.request(Given(0, 0, text="a {red} circle"))
    (given,) = answer_once(model.open(model.engine()), [request]).values()
    assert not isinstance(given, RowError)
    assert given.picture is not None
    assert server.bodies[0] == {
        "model": "dall-e-3",
        "prompt": "a {red} circle",
        "n": 1,
        "response_format": "b64_json",
        "size": "1792x1024",
        "quality": "hd",
    }


def test_old_spellings_are_known() -> None:
    assert ImageAPIGenerator.old_keys == {
        "api_base": "base_url",
        "api_url": "base_url",
        "weight": "width",
    }


@pytest.mark.parametrize("key", ["height", "width", "quality", "model"])
def test_what_changes_pictures_is_in_the_key(key: str) -> None:
    value = 512 if key in {"height", "width"} else "other"
    changed = ImageAPIGenerator.model_validate({key: value})
    assert changed.key_settings() != ImageAPIGenerator().key_settings()


@pytest.mark.parametrize("text", ["", " \n\t", None])
def test_an_empty_text_costs_one_row(text: str | None) -> None:
    with pytest.raises(RowError) as refused:
        ImageAPIGenerator().request(Given(0, 0, text=text))
    assert refused.value.kind == "empty_text"
