"""A real S3 server in a process of its own, on loopback."""

import os
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.stores import lock, mirrors

S3 = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def serve_s3(folder: Path) -> Iterator[str]:
    """Its URL; it ends with the test that asked for it."""
    needs_s3()
    log = folder / "s3.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as output, subprocess.Popen(command, stderr=output, stdout=output) as server:
        try:
            yield _url(log, server)
        finally:
            server.kill()


def bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file system whose ``bucket`` is empty; the client of this process goes to that server."""
    for name, value in {**S3, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    if fs.exists("bucket"):
        fs.rm("bucket", recursive=True)
    fs.mkdir("bucket")
    return fs


def needs_s3() -> None:
    """Skip where the test extra is not installed; in CI that is a failure."""
    # Not imported: Flask's proxies raise when vLLM looks through all modules for its kernels.
    missing = [name for name in ("moto.server", "s3fs") if not find_spec(name)]
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI runs with {missing[0]} installed")
    if missing:
        pytest.skip(f"{missing[0]} is not installed: install dataflow-dagster[test]")


def _url(log: Path, server: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        told = [line for line in log.read_text().splitlines() if "Running on http" in line]
        if told:
            url = "http" + told[0].partition("http")[2].split()[0]
            urllib.request.urlopen(url, timeout=10).close()  # our own
            return url
        time.sleep(0.05)
    raise AssertionError(log.read_text())


class Machines:
    """Machines that share nothing but the store; each has seen nothing of it yet."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._count = 0
        self.use(0)

    def new(self) -> int:
        """From now on we are another machine."""
        self._count += 1
        self.use(self._count)
        return self._count

    def use(self, number: int) -> Path:
        """From now on we are that machine; gives its cache."""
        cache = self._folder / f"machine_{number}"
        self._monkeypatch.setenv(mirrors.CACHE, str(cache))
        mirrors.forget()
        return cache


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks of stores are taken over, and told to be held, in a second."""
    for name, value in {"BEAT_S": 0.2, "SILENT_S": 1.0, "POLL_S": 0.1, "SETTLE_S": 0.2}.items():
        monkeypatch.setattr(lock, name, value)


def stored(s3: Any, folder: str) -> dict[str, bytes]:
    """All objects below a folder of ``bucket``."""
    names: list[str] = s3.find(f"bucket/{folder}")
    return {name.removeprefix(f"bucket/{folder}/"): s3.cat_file(name) for name in names}


class Cable(socketserver.ThreadingTCPServer):
    """Stands between clients and a server; where it is cut, nobody gets through."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, url: str) -> None:
        host, _, port = url.partition("://")[2].strip("/").partition(":")
        self.to = host, int(port)
        self.cut = False
        super().__init__(("127.0.0.1", 0), _Wire)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Wire(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        cable = self.server
        assert isinstance(cable, Cable)
        if cable.cut:
            return
        with socket.create_connection(cable.to) as server:
            ends = {self.request: server, server: self.request}
            while not cable.cut:
                for end in select.select(list(ends), [], [], 0.05)[0]:
                    content = end.recv(65536)
                    if not content:
                        return
                    ends[end].sendall(content)
