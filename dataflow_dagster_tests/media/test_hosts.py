import socket

import pytest

from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.rows import RowError

ALLOWED = Hosts(("images.example.org", "*.cdn.example.org", "10.0.0.5:8080", "[::1]:81"))


@pytest.mark.parametrize(
    "url",
    [
        "http://images.example.org/a.jpg",
        "https://images.example.org/a.jpg?size=3",
        "https://IMAGES.example.org:443/a.jpg",
        "https://a.cdn.example.org/a.jpg",
        "https://a.b.cdn.example.org/a.jpg",
        "http://10.0.0.5:8080/a.jpg",
        "http://[::1]:81/a.jpg",
    ],
)
def test_hosts_that_are_listed_are_allowed(url: str) -> None:
    assert ALLOWED.check(url).geturl().lower() == url.lower()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.jpg",
        "https://cdn.example.org/a.jpg",
        "https://evilcdn.example.org/a.jpg",
        "https://images.example.org.evil.net/a.jpg",
        "https://images.example.org:8443/a.jpg",
        "http://10.0.0.5/a.jpg",
        "http://127.0.0.1/a.jpg",
        "http://2130706433/a.jpg",
        "http://images.example.org.:80/a.jpg",
    ],
)
def test_all_other_hosts_are_not(url: str) -> None:
    with pytest.raises(RowError) as failed:
        ALLOWED.check(url)
    assert failed.value.kind == "host_not_allowed"
    assert "images.example.org" in failed.value.message


@pytest.mark.parametrize(
    "url",
    [
        "http:///a.jpg",
        "http://user:word@images.example.org/a.jpg",
        "http://images.example.org@evil.net/a.jpg",
        "http://images.example.org/a b\r\nHost: x",
        "http://images.example.org/a b",
        "http://images.example.org:x/a.jpg",
        "http://[::1/a.jpg",
        "http://images.example.org/\u00e9.jpg",
    ],
)
def test_a_url_that_means_two_things_is_refused(url: str) -> None:
    with pytest.raises(RowError) as failed:
        ALLOWED.check(url)
    assert failed.value.kind == "bad_value"


@pytest.mark.parametrize(
    ("pattern", "address", "reached"),
    [
        ("intern.example.org", "10.1.2.3", True),
        ("intern.example.org", "127.0.0.1", True),
        ("intern.example.org", "169.254.169.254", False),
        ("intern.example.org", "fe80::1", False),
        ("intern.example.org", "0.0.0.0", False),
        ("*.example.org", "10.1.2.3", False),
        ("*.example.org", "127.0.0.1", False),
        ("*.example.org", "::ffff:127.0.0.1", False),
        ("*.example.org", "100.64.0.1", False),
        ("*.example.org", "93.184.215.14", True),
    ],
)
def test_a_name_reaches_the_addresses_its_pattern_allows(
    monkeypatch: pytest.MonkeyPatch, pattern: str, address: str, reached: bool
) -> None:
    def lookup(host: str, port: int, **_: object) -> list[object]:
        return [(0, 0, 0, "", (address, port))]

    def connect(where: tuple[str, int], timeout: float) -> tuple[str, int]:
        return where

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket, "create_connection", connect)
    hosts = Hosts((pattern,))
    if reached:
        assert hosts.connect("intern.example.org", 80, "http", 1) == (address, 80)
        return
    with pytest.raises(RowError, match="does not reach"):
        hosts.connect("intern.example.org", 80, "http", 1)
