import time
from collections.abc import Iterator
from io import BytesIO

import pytest

from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.web import Web
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.media.web_server import WebServer, serving


@pytest.fixture
def server() -> Iterator[WebServer]:
    with serving() as one:
        yield one


def web(server: WebServer, timeout_s: float = 10) -> Web:
    return Web(Hosts((server.host,)), most_bytes=1 << 20, timeout_s=timeout_s)


def fetched(server: WebServer, path: str) -> bytes:
    file = BytesIO(b"what an earlier try left behind, longer than the answer")
    web(server).fetch(server.url + path, file)
    return file.getvalue()


@pytest.mark.parametrize("path", ["/good", "/flaky", "/busy", "/cut"])
def test_a_file_is_fetched_although_the_server_fails_now_and_then(
    server: WebServer, path: str
) -> None:
    assert fetched(server, f"{path}?x") == b"good x"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/none", "missing_file"),
        ("/forbidden", "http_error"),
        ("/moved", "http_error"),
        ("/moved?file:///etc/passwd", "host_not_allowed"),
        ("/moved?http://example.org/a.jpg", "host_not_allowed"),
        ("/moved?http://localhost:1/a.jpg", "host_not_allowed"),
        ("/endless", "file_too_large"),
    ],
)
def test_what_cannot_be_fetched_costs_one_row(server: WebServer, path: str, kind: str) -> None:
    with pytest.raises(RowError) as failed:
        fetched(server, path)
    assert failed.value.kind == kind


def test_a_redirect_within_allowed_hosts_is_followed(server: WebServer) -> None:
    assert fetched(server, "/moved?/good") == b"good "


@pytest.mark.parametrize("path", ["/slow", "/silent"])
def test_a_server_that_dawdles_is_left_at_the_time_limit(server: WebServer, path: str) -> None:
    with pytest.raises(RowError) as failed:
        web(server, timeout_s=0.5).fetch(server.url + path, BytesIO())
    assert failed.value.kind == "fetch_timeout"


def test_a_server_that_stays_down_is_asked_four_times(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(RowError) as failed:
        fetched(server, "/down")
    assert (failed.value.kind, server.asked["/down"]) == ("unreachable", 4)


def test_messages_leave_out_the_query_where_signatures_stand(server: WebServer) -> None:
    with pytest.raises(RowError) as failed:
        fetched(server, "/none?signature=secret")
    assert "secret" not in failed.value.message


def test_a_host_that_nobody_runs_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    closed = Web(Hosts(("127.0.0.1:1",)), most_bytes=9, timeout_s=9)
    with pytest.raises(RowError) as failed:
        closed.fetch("http://127.0.0.1:1/a.jpg", BytesIO())
    assert failed.value.kind == "unreachable"
