"""A real S3 server in a process of its own, on loopback."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

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
