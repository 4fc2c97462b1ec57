"""Media behind ``http://`` and ``https://``: from allowed hosts, within size and time."""

import http.client
import random
import socket
import ssl
import threading
import time
from functools import cache
from typing import BinaryIO, Final
from urllib.parse import SplitResult, urljoin

from dataflow_dagster.media.hosts import PORTS, Hosts, shown
from dataflow_dagster.rows import RowError

_TRIES: Final = 4
_MOST_REDIRECTS: Final = 5
_MOST_WAIT_S: Final = 20.0
_PIECE: Final = 1 << 16
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({404, 410})
_HEADERS: Final = {"User-Agent": "dataflow-dagster", "Accept": "*/*"}


class _Again(Exception):
    """The server may answer later.

    Args:
        reason: What it said.
        after_s: When it asks to be asked again.
    """

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Web:
    """Fetches files; connections are kept, one for each host and thread.

    Proxies of the environment are not used: behind one nobody could tell which address is reached.

    Args:
        hosts: Those that may be asked, also when another one sends us there.
        most_bytes: Of one file.
        timeout_s: For one file, tries and redirects included.
    """

    def __init__(self, hosts: Hosts, *, most_bytes: int, timeout_s: float) -> None:
        self._hosts = hosts
        self._most_bytes = most_bytes
        self._timeout_s = timeout_s
        self._mine = threading.local()

    def fetch(self, url: str, file: BinaryIO) -> None:
        """Write the bytes behind `url` to `file`.

        5xx, 429 and broken connections are tried again, as late as ``Retry-After`` asks.

        Raises:
            RowError: ``host_not_allowed``, ``missing_file``, ``http_error``, ``unreachable``,
                ``fetch_timeout``, ``file_too_large`` or ``bad_value``.
        """
        until = time.monotonic() + self._timeout_s
        for attempt in range(1, _TRIES + 1):
            try:
                return self._follow(url, file, until)
            except _Again as again:
                wait = max(again.after_s, 0.5 * 2**attempt * random.uniform(0.5, 1))
                if attempt == _TRIES or wait > min(_MOST_WAIT_S, until - time.monotonic()):
                    raise RowError("unreachable", f"{shown(url)}: {again}") from again
                time.sleep(wait)
        raise AssertionError

    def _follow(self, url: str, file: BinaryIO, until: float) -> None:
        at = url
        for _ in range(_MOST_REDIRECTS + 1):
            moved = self._get(at, file, until)
            if moved is None:
                return
            at = urljoin(at, moved)
            if not at.startswith(("http://", "https://")):
                raise RowError("host_not_allowed", f"{shown(url)} leads to {shown(at)}")
        raise RowError("http_error", f"{shown(url)}: more than {_MOST_REDIRECTS} redirects")

    def _get(self, url: str, file: BinaryIO, until: float) -> str | None:
        """Where the file is instead; None: it was written."""
        parts = self._hosts.check(url)
        connection = self._connection(parts)
        left = until - time.monotonic()
        alarm = threading.Timer(max(left, 0), _interrupt, [connection])
        alarm.start()
        try:
            connection.timeout = max(left, 0.001)
            moved = self._exchange(connection, parts, file)
            if time.monotonic() >= until:  # an end that the alarm made may look like the file's
                raise TimeoutError
            return moved
        except (OSError, http.client.HTTPException) as broken:
            self._forget(connection)
            if time.monotonic() >= until:
                said = f"{shown(url)}: not fetched within {self._timeout_s:g} s (media_timeout)"
                raise RowError("fetch_timeout", said) from broken
            raise _Again(f"{type(broken).__name__}: {broken}") from broken
        except BaseException:
            self._forget(connection)  # what is left of an answer may not be taken for the next
            raise
        finally:
            alarm.cancel()

    def _exchange(
        self, connection: http.client.HTTPConnection, parts: SplitResult, file: BinaryIO
    ) -> str | None:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers=_HEADERS)
        answer = connection.getresponse()
        if answer.status in _MOVED and answer.headers["Location"]:
            self._copy(answer, None, parts)
            return answer.headers["Location"]
        if answer.status == http.client.OK:
            self._copy(answer, file, parts)
            return None
        raise _refusal(answer, shown(parts.geturl()))

    def _copy(
        self, answer: http.client.HTTPResponse, file: BinaryIO | None, parts: SplitResult
    ) -> None:
        if file is not None:
            file.seek(0)
            file.truncate()
        size, told = 0, answer.length
        while piece := answer.read1(_PIECE):
            size += len(piece)
            if max(size, told or 0) > self._most_bytes:
                most = f"{self._most_bytes >> 20} MiB (media_limit_mb)"
                raise RowError("file_too_large", f"{shown(parts.geturl())}: more than {most}")
            if file is not None:
                file.write(piece)
        if told is not None and size < told:
            raise ConnectionError(f"{size} of {told} bytes came")
        answer.close()  # read1 leaves it open, and the connection could not be used again

    def _connection(self, parts: SplitResult) -> "_Plain":
        kept = self._kept()
        where = parts.scheme, parts.netloc
        if where not in kept:
            kind = _Secure if parts.scheme == "https" else _Plain
            port = parts.port or PORTS[parts.scheme]
            kept[where] = kind(parts.hostname or "", port, self._hosts)
        return kept[where]

    def _forget(self, connection: "_Plain") -> None:
        connection.close()
        kept = self._kept()
        for where in [where for where, one in kept.items() if one is connection]:
            del kept[where]

    def _kept(self) -> "dict[tuple[str, str], _Plain]":
        if not hasattr(self._mine, "kept"):
            self._mine.kept = {}
        return self._mine.kept


class _Plain(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, hosts: Hosts) -> None:
        super().__init__(host, port)
        self._hosts = hosts
        self.live: socket.socket | None = None

    def connect(self) -> None:
        """Also keeps the socket: `sock` is None while an answer without length comes."""
        self.sock = self.live = self._hosts.connect(
            self.host, self.port, "http", self.timeout or 0.001
        )


class _Secure(_Plain):
    def connect(self) -> None:
        plain = self._hosts.connect(self.host, self.port, "https", self.timeout or 0.001)
        self.sock = self.live = _tls().wrap_socket(plain, server_hostname=self.host)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _interrupt(connection: "_Plain") -> None:
    """Wake up whoever reads from a server that sends a byte now and then."""
    sock = connection.live
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is closed already


def _refusal(answer: http.client.HTTPResponse, url: str) -> Exception:
    said = f"{answer.status} {answer.reason}"
    if answer.status in _GONE:
        return RowError("missing_file", f"{url}: {said}")
    if answer.status == http.client.TOO_MANY_REQUESTS or answer.status >= 500:
        asked = answer.headers["Retry-After"] or ""
        return _Again(said, float(asked) if asked.isdigit() else 0.0)
    return RowError("http_error", f"{url}: {said}")
