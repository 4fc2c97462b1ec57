import os
import signal
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.gpt_captioner import GPTCaptioner, ImageAPICaptioner
from dataflow_dagster.rows import RowError, decode
from dataflow_dagster_tests.engines.api_server import ApiServer
from dataflow_dagster_tests.engines.requests import LLAVA, answer_once, texts

DEMO = Path(__file__).parents[2] / "data" / "demo"
PICTURES = DEMO / "images"


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 6), (9, 8, 7)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def posted(server: ApiServer, picture: Path, **config: Any) -> dict[str, Any]:
    model = ImageAPICaptioner(base_url=server.url, **config)
    request = model.request(Given(3, 7, image=str(picture)))
    assert texts(answer_once(model.open(model.engine()), [request])) == {3: f"said: {model.prompt}"}
    return server.bodies[-1]


def test_it_sends_the_system_prompt_then_the_prompt_with_the_picture(
    server: ApiServer, picture: Path
) -> None:
    body = posted(server, picture, prompt="What {is} it?", sys_prompt="You see.")
    url = body["messages"][1]["content"][1]["image_url"]["url"]
    assert b64decode(url.removeprefix("data:image/png;base64,")) == picture.read_bytes()
    assert body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "You see."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What {is} it?"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            },
        ],
        "seed": 7,
        "max_tokens": 256,
        "temperature": 0.2,
    }


@pytest.mark.parametrize(
    ("config", "sent"),
    [
        ({"temperature": None}, {"temperature": None}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"max_tokens": 9}, {"max_tokens": 9}),
        ({"max_num_seqs": 8}, {"max_tokens": 256}),
        ({"max_num_seqs": 1024}, {"max_tokens": 1024}),
        ({"max_num_seqs": 1024, "max_tokens": 9}, {"max_tokens": 9}),
        ({"model": "mistral:pixtral"}, {"model": "pixtral"}),
        ({"batch_size": 4, "api_key": "k"}, {"batch_size": None}),
    ],
    ids=str,
)
def test_each_key_reaches_the_server(
    server: ApiServer, picture: Path, config: dict[str, Any], sent: dict[str, Any]
) -> None:
    body = posted(server, picture, **config)
    assert {key: body.get(key) for key in sent} == sent


def test_an_empty_system_prompt_is_left_out(server: ApiServer, picture: Path) -> None:
    assert [one["role"] for one in posted(server, picture, sys_prompt="")["messages"]] == ["user"]


def test_old_spellings_are_known() -> None:
    assert GPTCaptioner.old_keys == {"api_base": "base_url", "model_path": "model"}


def test_a_picture_is_scaled_down_to_max_side(server: ApiServer, tmp_path: Path) -> None:
    Image.new("RGB", (64, 32)).save(tmp_path / "wide.png")
    url = posted(server, tmp_path / "wide.png", max_side=16)["messages"][1]["content"][1]
    assert url["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("image", [None, "none.png"])
def test_a_missing_picture_costs_one_row(image: str | None) -> None:
    with pytest.raises(RowError) as refused:
        GPTCaptioner().request(Given(0, 0, image=image))
    assert refused.value.kind in {"missing_image", "missing_file"}


def test_what_changes_answers_changes_the_key() -> None:
    plain = GPTCaptioner().key_settings()
    for key, value in {
        "model": "gpt-5",
        "prompt": "?",
        "sys_prompt": "",
        "temperature": 0,
        "top_p": 0.5,
        "max_tokens": 9,
        "max_num_seqs": 300,
        "max_side": 512,
    }.items():
        assert GPTCaptioner.model_validate({key: value}).key_settings() != plain
    for key, value in {"max_num_seqs": 8, "max_tokens": 256, "batch_size": 2}.items():
        changed = GPTCaptioner.model_validate({key: value}).key_settings()
        assert {**changed, "max_num_seqs": 0} == {**plain, "max_num_seqs": 0}


@pytest.fixture
def vllm_server(tmp_path: Path) -> Iterator[str]:
    """vLLM's own server with the known-answer captioner; ready in half a minute."""
    port = _free_port()
    command = f"""-m vllm.entrypoints.openai.api_server --model {LLAVA} --served-model-name scenes
        --host 127.0.0.1 --port {port} --dtype float32 --enforce-eager --max-model-len 256"""
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command.split()],
            env={**os.environ, **quiet},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{port}/health", tmp_path / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"vLLM's server did not start: {log.read_text()[-2000:]}")


@pytest.mark.full
@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.usefixtures("needs_vllm")
def test_vllms_own_server_gives_the_true_captions_of_the_demo(vllm_server: str) -> None:
    rows = [decode(line) for line in (DEMO / "images.jsonl").read_bytes().splitlines()[:8]]
    model = GPTCaptioner(
        model="scenes", base_url=vllm_server, sys_prompt="", temperature=0, max_tokens=24
    )
    given = [Given(at, at, image=str(PICTURES / row["image"])) for at, row in enumerate(rows)]
    answered = answer_once(model.open(model.engine()), [model.request(one) for one in given])
    assert texts(answered) == {at: row["truth"] for at, row in enumerate(rows)}
    details = [answer.details for answer in answered.values() if not isinstance(answer, RowError)]
    assert all(one["prompt_tokens"] > 0 and one["finish_reason"] == "stop" for one in details)
