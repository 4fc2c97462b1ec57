import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from dataflow_dagster.engines.openai.retries import retry_after_s
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.api_server import ApiServer, Reply, completion, error
from dataflow_dagster_tests.engines.openai.asking import answered, kind
from dataflow_dagster_tests.engines.requests import texts


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_the_headers_tell_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_a_date_to_come_is_so_many_seconds_away() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after_s({"retry-after": then}) == pytest.approx(89, abs=2)


def test_a_rate_limit_far_below_max_num_seqs_fails_no_row(server: ApiServer) -> None:
    """Each row is refused more often than it may be retried, while others get through."""
    prompts = [f"row {number}" for number in range(24)]
    server.every_s = 0.02
    given = texts(answered(server, *prompts, max_num_seqs=24, max_retries=2))
    assert given == {number: f"said: {prompt}" for number, prompt in enumerate(prompts)}


def test_rows_that_are_always_refused_hold_no_other_back(server: ApiServer) -> None:
    """Sixty rows of 0.1 s, sixteen at a time: with two that get nothing but 429s, and without."""
    prompts = [f"row {number}" for number in range(60)]
    replies = {prompt: [Reply(body=completion("ok"), delay_s=0.1)] for prompt in prompts}
    server.replies = dict(replies)
    clean_s = seconds(server, prompts)
    never = error(429, "no")
    server.replies = {**replies, "row 5": [never], "row 6": [never]}
    assert seconds(server, prompts, failing=[5, 6]) < 1.5 * clean_s + 1.5  # the waits of the two
    assert server.tries("row 5") == 1 + 1 + 6


def seconds(server: ApiServer, prompts: list[str], failing: Sequence[int] = ()) -> float:
    begun = time.monotonic()
    given = answered(server, *prompts, max_num_seqs=16, max_retries=6)
    kinds = {number: kind(one) for number, one in given.items() if isinstance(one, RowError)}
    assert kinds == dict.fromkeys(failing, "rate_limited")
    return time.monotonic() - begun


@pytest.mark.parametrize("header", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_server_that_asks_for_no_wait_is_given_some_all_the_same(
    server: ApiServer, header: str
) -> None:
    server.replies["a"] = [error(503, headers={"Retry-After": header})]
    given = answered(server, "a", max_retries=5, first_wait_s=0.1)
    assert kind(given[0]) == "server_error"
    assert server.times[-1] - server.times[0] > 0.3  # of 1.5 on average, drawn five times
