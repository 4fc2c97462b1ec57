"""Which servers media may come from: those the pipeline names, and no trick around them."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from dataflow_dagster.rows import RowError

PORTS: Final = {"http": 80, "https": 443}

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of ``allowed_hosts``.

    ``images.example.org`` is that host, ``*.example.org`` any host below it. Without a port the
    scheme's own is meant. A wildcard reaches public addresses only, so that nobody who names a host
    below it leads us into the user's network; an exact name reaches whatever it stands for, but
    link-local addresses, where clouds keep their machines' secrets, only where they are listed.
    """

    allowed: tuple[str, ...] = ()

    def check(self, url: str) -> SplitResult:
        """The URL in its parts.

        Raises:
            RowError: ``bad_value``: no possible URL; ``host_not_allowed``.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as wrong:
            raise RowError("bad_value", f"{url!r:.200} is no URL: {wrong}") from wrong
        if (
            not host
            or parts.username is not None
            or not url.isascii()
            or not url.isprintable()
            or " " in url
        ):
            said = "needs a host, no user, and %-escapes for all but ASCII"
            raise RowError("bad_value", f"{url!r:.200}: a URL {said}")
        if self._pattern(host, port or PORTS[parts.scheme], parts.scheme) is None:
            listed = ", ".join(self.allowed) or "none"
            raise RowError(
                "host_not_allowed",
                f"{shown(url)}: allowed_hosts does not name '{parts.netloc}'; it names {listed}",
            )
        return parts

    def connect(self, host: str, port: int, scheme: str, timeout_s: float) -> socket.socket:
        """A connection to one of the host's addresses that may be reached.

        Raises:
            RowError: ``host_not_allowed``: none of its addresses may.
            OSError: There is no such host, or it does not answer.
        """
        pattern = self._pattern(host, port, scheme) or ""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [about[4][:2] for about in found]
        good = [address for address in addresses if _may_reach(str(address[0]), pattern)]
        if not good:
            told = ", ".join(dict.fromkeys(str(address[0]) for address in addresses))
            reason = f"allowed_hosts ('{pattern}') does not reach {told}; list that address itself"
            raise RowError("host_not_allowed", f"{host}: {reason}")
        return _first_that_answers(good, timeout_s)

    def _pattern(self, host: str, port: int, scheme: str) -> str | None:
        for pattern in self.allowed:
            name, wanted = _split(pattern.lower(), PORTS[scheme])
            below = name.startswith("*.") and host.endswith(name[1:])
            if wanted == port and (below or name == host):
                return name
        return None


def shown(url: str) -> str:
    """The URL for messages: without its query, where signatures and keys stand."""
    return url.partition("?")[0][:300]


def _split(pattern: str, port: int) -> tuple[str, int]:
    if pattern.startswith("["):
        name, _, rest = pattern[1:].partition("]")
        return name, int(rest.removeprefix(":") or port)
    name, _, given = pattern.partition(":")
    return name, int(given or port)


def _may_reach(address: str, pattern: str) -> bool:
    found: _Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if pattern == str(found):
        return True
    if pattern.startswith("*."):
        return found.is_global and not found.is_multicast
    return not (found.is_link_local or found.is_multicast or found.is_unspecified)


def _first_that_answers(addresses: Sequence[Any], timeout_s: float) -> socket.socket:
    failed: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection(address, timeout=timeout_s)
        except OSError as refused:
            failed = refused
    raise failed or OSError("no address")
