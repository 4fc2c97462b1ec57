import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflow_dagster.engines.checkpoint import revision
from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.hub import fetched, needed_files
from dataflow_dagster_tests.engines.fake_hub import MODELS, SHA, Hub, running_hub
from dataflow_dagster_tests.toys.process import ROOT

FETCH = """
import sys
import os
import time
import dataflow_dagster.engines.hub as hub
hub.TELL_EVERY_S = 0.0
if "HURRIES" in os.environ:
    slept = time.sleep
    time.sleep = lambda seconds: slept(seconds / 20)
try:
    print("in", hub.fetched(sys.argv[1], sys.argv[2] or None, say=lambda line: print(line)))
except Exception as error:
    print(type(error).__name__, error)
"""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def begin(
    hub: Hub, home: Path, name: str, wanted: str = "", **variables: str
) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    own = {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, name, wanted],
        env={**kept, **own, "HF_HUB_DISABLE_TELEMETRY": "1", **variables},
        stdout=subprocess.PIPE,
        text=True,
    )


def fetch(hub: Hub, home: Path, name: str, wanted: str = "", **variables: str) -> list[str]:
    said, _ = begin(hub, home, name, wanted, **variables).communicate(timeout=60)
    return said.splitlines()


def folder_of(said: list[str]) -> Path:
    (folder,) = [line for line in said if line.startswith("in ")]
    return Path(folder.removeprefix("in "))


def test_a_model_is_fetched_with_its_weights_once_and_the_token(hub: Hub, tmp_path: Path) -> None:
    said = fetch(hub, tmp_path, "good/model", "v1", HF_TOKEN="hf_mine")
    folder = folder_of(said)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    content = (folder / "model.safetensors").read_bytes()
    assert content == MODELS["good/model"]["model.safetensors"]
    assert any(line.startswith("fetching good/model: ") for line in said)
    assert folder.is_relative_to(tmp_path)
    assert folder.name == SHA
    assert all("hf_mine" in line for line in hub.asked if "/api/" in line)
    asked = len(hub.asked)
    assert folder_of(fetch(hub, tmp_path, "good/model", "v1", HF_HUB_OFFLINE="1")) == folder
    assert len(hub.asked) == asked


def test_a_download_that_breaks_off_goes_on_where_it_ended(hub: Hub, tmp_path: Path) -> None:
    hub.breaks_off = True
    folder = folder_of(fetch(hub, tmp_path, "good/model"))
    content = (folder / "model.safetensors").read_bytes()
    assert content == MODELS["good/model"]["model.safetensors"]
    assert any("bytes=10485760-" in line for line in hub.asked)


def test_two_steps_of_a_host_fetch_a_model_once(hub: Hub, tmp_path: Path) -> None:
    hub.pause_s = 1.5
    both = [begin(hub, tmp_path, "good/model") for _ in range(2)]
    said = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert folder_of(said[0]) == folder_of(said[1])
    assert sum("GET /good/model/resolve" in line and "safetens" in line for line in hub.asked) == 1
    waiting = "waiting: another step of this host fetches good/model"
    assert sum(waiting in lines for lines in said) == 1


@pytest.mark.parametrize(
    ("name", "wanted", "told"),
    [
        ("missing/model", "", "ModelMissingError {hub} shows no model 'missing/model': look at"),
        ("gated/model", "", "ModelMissingError gated/model is gated: accept its terms at {hub}/"),
        ("listed/gated", "", "ModelMissingError listed/gated is gated: accept its terms at {hub}/"),
        ("good/model", "v9", "ModelMissingError good/model has no revision 'v9'; config key"),
    ],
)
def test_a_model_that_may_not_be_had_is_told_in_one_sentence(
    hub: Hub, tmp_path: Path, name: str, wanted: str, told: str
) -> None:
    (said,) = fetch(hub, tmp_path, name, wanted)
    assert said.startswith(told.replace("{hub}", hub.address))


def test_a_token_that_the_hub_refuses_is_told_and_no_retry_is_worth_it(
    hub: Hub, tmp_path: Path
) -> None:
    (said,) = fetch(hub, tmp_path, "good/model", HF_TOKEN="hf_expired")
    assert said.startswith(f"ModelMissingError {hub.address} refuses the token that was sent for")
    folder = folder_of(fetch(hub, tmp_path, "good/model"))
    (folder / "model.safetensors").unlink()
    (said,) = fetch(hub, tmp_path, "good/model", HF_TOKEN="hf_expired")
    assert "refuses the token" in said


def test_a_model_that_is_not_here_offline_is_told(hub: Hub, tmp_path: Path) -> None:
    (offline,) = fetch(hub, tmp_path, "good/model", HF_HUB_OFFLINE="1")
    assert offline.startswith("ModelMissingError good/model is not whole on this host, and HF_HUB")


def test_a_hub_that_is_away_is_told_after_some_patience(hub: Hub, tmp_path: Path) -> None:
    begun = {"HF_ENDPOINT": "http://127.0.0.1:9", "HURRIES": "1"}
    (away,) = fetch(hub, tmp_path, "good/model", **begun)
    assert away.startswith("HubUnreachableError good/model is not on this host, and http://127.0")


def test_of_each_part_one_copy_is_needed() -> None:
    pipeline = [
        "model_index.json",
        "flux1-dev.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/pytorch_model.bin",
        "unet/model.onnx",
        "preview.jpg",
    ]
    assert needed_files(pipeline) == [
        "model_index.json",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/pytorch_model.bin",
    ]
    language = [
        "config.json",
        "consolidated.safetensors",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "pytorch_model-00001-of-00002.bin",
        "pytorch_model.bin.index.json",
        "original/consolidated.00.pth",
        "tokenizer.model",
    ]
    assert needed_files(language) == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.model",
    ]


def test_a_folder_is_what_it_is_and_has_no_revision(tmp_path: Path) -> None:
    assert fetched(str(tmp_path)) == str(tmp_path)
    with pytest.raises(UnfitSettingError, match=r"'revision': 'v1' cannot .* is a folder"):
        fetched(str(tmp_path), "v1")


def test_a_revision_is_part_of_what_a_rows_key_knows_of_the_weights() -> None:
    assert revision("org/model", "v1") != revision("org/model") == "org/model"
