"""A backfill as the UI starts one: through the webserver, run by the daemon."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from dataflow_dagster.factory.partitions import shard_key
from dataflow_dagster_tests.toys.pipelines import SHOUT, read_rows, text_rows, write_pipeline
from dataflow_dagster_tests.toys.process import environment

ASSETS = ("raw_meta", "captions", "results")
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""
STATE = """
query State($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
  runsOrError { ... on Runs { results { status } } }
}"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A webserver and a daemon on a pipeline of ten rows in three shards."""
    text = {**SHOUT, "asset": "captions"}
    write_pipeline(tmp_path, [text], rows=text_rows(10), shards=3)
    home = tmp_path / "home"
    home.mkdir()
    extra = {"DAGSTER_HOME": str(home), "DATAFLOW_PIPELINES": str(tmp_path / "demo.yaml")}
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["-m", "dagster", "dev", "-m", "dataflow_dagster.definitions", "-p", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment(tmp_path, extra),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield f"http://127.0.0.1:{port}/graphql"
        finally:
            process.terminate()
            process.wait(60)


def ask(address: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = Request(address, body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())["data"]


def launch(address: str) -> str:
    """Start the backfill of all three shards as soon as the webserver answers; its id."""
    params = {
        "assetSelection": [{"path": ["demo", asset]} for asset in ASSETS],
        "partitionNames": [shard_key(part, 3) for part in range(3)],
    }
    until = time.monotonic() + 100
    while True:
        try:
            told = ask(address, LAUNCH, {"params": params})["launchPartitionBackfill"]
            return told["backfillId"]
        except (URLError, ConnectionError, KeyError):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


@pytest.mark.slow
def test_a_backfill_of_all_shards_is_one_run_and_leaves_all_rows(
    address: str, tmp_path: Path
) -> None:
    backfill = launch(address)
    until = time.monotonic() + 150
    state: dict[str, Any] = {}
    while time.monotonic() < until:
        state = ask(address, STATE, {"id": backfill})
        if state["partitionBackfillOrError"]["status"].startswith(("COMPLETED", "FAILED")):
            break
        time.sleep(1)
    assert state["partitionBackfillOrError"]["status"] == "COMPLETED_SUCCESS", state
    assert [run["status"] for run in state["runsOrError"]["results"]] == ["SUCCESS"]
    shards = sorted((tmp_path / "demo" / "out" / "result").glob("*.jsonl"))
    assert [path.stem for path in shards] == [shard_key(part, 3) for part in range(3)]
    texts = [row["text"] for path in shards for row in read_rows(path)]
    assert texts == [row["text"].upper() for row in text_rows(10)]
