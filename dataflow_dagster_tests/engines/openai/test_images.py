from base64 import b64encode
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from dataflow_dagster.engines.openai.client import ApiSettings
from dataflow_dagster.engines.openai.images import open_images
from dataflow_dagster.engines.openai.providers import find_endpoint
from dataflow_dagster.engines.openai.retries import Patience
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.api_server import KEY, ApiServer, Reply, drawn, error, png


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


def pictures(server: ApiServer, *prompts: str) -> dict[int, Answer | RowError]:
    patience = Patience(max_retries=1, timeout_s=5, first_wait_s=0.01)
    settings = ApiSettings(find_endpoint("dall-e-3", server.url), patience, 1, SecretStr(KEY))
    session = open_images(settings, {"size": "8x8"})
    try:
        requests = (Request(number, 0, prompt) for number, prompt in enumerate(prompts))
        return dict(session.answers(requests))
    finally:
        session.close()


def pixel(given: Answer | RowError) -> object:
    assert isinstance(given, Answer)
    assert given.picture is not None
    assert (given.picture.mode, given.picture.size) == ("RGB", (8, 8))
    return given.picture.getpixel((0, 0))


def failure(given: Answer | RowError) -> RowError:
    assert isinstance(given, RowError)
    return given


def test_a_text_is_drawn_as_it_is_at_the_size_asked_for(server: ApiServer) -> None:
    reply = {**drawn((1, 2, 3)), "usage": {"input_tokens": 4, "output_tokens": 5}}
    reply["data"][0]["revised_prompt"] = "a photo of a cat"
    server.replies["a {cat}"] = [Reply(body=reply)]
    given = pictures(server, "a {cat}")[0]
    assert pixel(given) == (1, 2, 3)
    assert isinstance(given, Answer)
    assert given.details == {
        "prompt_tokens": 4,
        "completion_tokens": 5,
        "revised_prompt": "a photo of a cat",
    }
    assert server.bodies == [
        {
            "model": "dall-e-3",
            "prompt": "a {cat}",
            "n": 1,
            "size": "8x8",
            "response_format": "b64_json",
        }
    ]


def test_a_model_that_takes_no_response_format_is_asked_without(server: ApiServer) -> None:
    unknown = error(400, "Unknown parameter: 'response_format'.", param="response_format")
    server.replies["cat"] = [unknown, Reply(body=drawn())]
    assert pixel(pictures(server, "cat")[0]) == (255, 0, 0)
    assert "response_format" not in server.bodies[1]


def test_an_address_at_the_server_itself_is_fetched(server: ApiServer) -> None:
    server.files["/files/1.png"] = Reply(body=png((0, 0, 9)))
    url = server.url.removesuffix("/v1") + "/files/1.png"
    server.replies["cat"] = [Reply(body={"data": [{"url": url}]})]
    assert pixel(pictures(server, "cat")[0]) == (0, 0, 9)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/x.png",
        "https://127.0.0.1/x.png",
        "file:///etc/passwd",
        "http://[",
    ],
)
def test_an_address_elsewhere_is_not_asked(server: ApiServer, url: str) -> None:
    server.replies["cat"] = [Reply(body={"data": [{"url": url}]})]
    assert failure(pictures(server, "cat")[0]).kind == "foreign_url"


def test_a_redirect_to_elsewhere_is_not_followed(server: ApiServer) -> None:
    with ApiServer().running() as other:
        elsewhere = other.url.removesuffix("/v1") + "/files/1.png"
        other.files["/files/1.png"] = Reply(body=png())
        server.files["/1.png"] = Reply(302, {}, {"Location": elsewhere})
        url = server.url.removesuffix("/v1") + "/1.png"
        server.replies["cat"] = [Reply(body={"data": [{"url": url}]})]
        assert failure(pictures(server, "cat")[0]).kind == "unreadable_file"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(body={"data": [{"b64_json": "!!!"}]}), "corrupt_picture"),
        (
            Reply(body={"data": [{"b64_json": b64encode(b"no picture").decode()}]}),
            "corrupt_picture",
        ),
        (Reply(body={"data": [{}]}), "empty_answer"),
        (Reply(body={"data": []}), "bad_answer"),
        (error(400, "Your request was rejected", code="moderation_blocked"), "refused"),
        (error(400, "Your request was rejected", code="content_policy_violation"), "refused"),
    ],
)
def test_what_is_no_picture_costs_one_row(server: ApiServer, reply: Reply, kind: str) -> None:
    server.replies |= {"bad": [reply], "good": [Reply(body=drawn())]}
    given = pictures(server, "bad", "good")
    assert failure(given[0]).kind == kind
    assert pixel(given[1]) == (255, 0, 0)
