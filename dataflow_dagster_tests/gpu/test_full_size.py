"""Real architectures at their real size, with random weights, through whole pipelines.

``pytest -m gpu -s`` on a machine with a GPU tells memory, precision and speed; nothing is
downloaded. The same code runs everywhere on the same architectures scaled down.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from PIL import Image

from dataflow_dagster_tests.engines.checkpoints import published, published_diffusion
from dataflow_dagster_tests.engines.checkpoints.published import Size
from dataflow_dagster_tests.gpu.conftest import used_gib
from dataflow_dagster_tests.requirements import require
from dataflow_dagster_tests.steps.driving import Ground, Outcome

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU is found")
SIZES = [
    "tiny",
    pytest.param("full", marks=[pytest.mark.gpu, pytest.mark.timeout(1800), needs_gpu]),
]
TEXTS = ["a red circle on a blue background", "a white triangle on a purple background"]
FULL = {"height": 1024, "width": 1024, "num_inference_steps": 8, "batch_size": 1}
TINY = {"height": 64, "width": 64, "num_inference_steps": 2, "max_sequence_length": 32}
MOST_GIB = {"LLaVACaptioner": 60, "QwenVLCaptioner": 60, "FLUXGenerator": 48, "SD3": 40}
"""Weights in bfloat16 and what their work takes; vLLM's own share of the GPU is bounded by it."""


class Watch:
    """The most GPU memory held while it runs, seen ten times a second: by any process."""

    def __enter__(self) -> "Watch":
        self._before, self.most_gib, self._end = used_gib(), 0.0, Event()
        self._thread = Thread(target=self._look)
        self._thread.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.1):
            self.most_gib = max(self.most_gib, used_gib() - self._before)


def run(ground: Ground, step: dict[str, Any]) -> tuple[Outcome, Watch]:
    with Watch() as watch:
        outcome = ground.run(step)
    return outcome, watch


def said(name: str, size: Size, outcome: Outcome, asset: str, watch: Watch) -> str:
    (manifest,) = outcome.manifests[asset]
    engine = manifest.engine
    assert engine is not None
    rate = manifest.tally.computed / manifest.tally.seconds
    return (
        f"{name} {size}: {engine['name']} {engine['version']}, {engine['precision']} on "
        f"{engine['device']}, {rate:.2f} rows/s with its start, {watch.most_gib:.1f} GiB at most"
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "build"),
    [("LLaVACaptioner", published.llava), ("QwenVLCaptioner", published.qwen2_vl)],
)
def test_every_picture_gets_its_caption_in_half_precision(
    name: str,
    build: Callable[[Path, Size], str],
    size: Size,
    ground: Ground,
    pictures: list[Path],
    tell: Callable[[str], None],
) -> None:
    if name == "QwenVLCaptioner":
        require("torchvision", "transformers needs torchvision for Qwen2-VL")
    torch.manual_seed(0)  # else weights of chance, whose first token may be the end
    folder = build(ground.folder / "model", size)
    config = {"model_path": folder, "dtype": "bfloat16", "max_tokens": 32, "max_model_len": 4096}
    share = {"gpu_memory_utilization": 0.4} if size == "full" else {"backend": "transformers"}
    ground.rows(*({"id": path.name, "image": str(path)} for path in pictures))
    step = {"type": "ImageCaptioner", "name": name, "config": config | share}
    outcome, watch = run(ground, step)
    tell(said(name, size, outcome, "captions", watch))
    assert outcome.errors() == []
    assert outcome.tally("captions").computed == len(pictures)
    assert all(row["text"] for row in outcome.rows())
    assert watch.most_gib <= MOST_GIB[name]
    (manifest,) = outcome.manifests["captions"]
    assert manifest.engine is not None
    assert manifest.engine["precision"] == "bfloat16"
    assert manifest.engine["device"] == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("FLUXGenerator", published_diffusion.flux),
        ("StableDiffusionGenerator", published_diffusion.sd3),
    ],
)
def test_every_text_gets_its_picture_in_half_precision(
    name: str,
    build: Callable[[Path, Size], str],
    size: Size,
    ground: Ground,
    tell: Callable[[str], None],
) -> None:
    folder = build(ground.folder / "model", size)
    shape = FULL if size == "full" else TINY
    ground.rows(*({"id": str(at), "text": text} for at, text in enumerate(TEXTS)))
    config = {"model_path": folder, "dtype": "bfloat16", **shape}
    outcome, watch = run(ground, {"type": "ImageGenerator", "name": name, "config": config})
    tell(said(name, size, outcome, "generated_images", watch))
    assert outcome.errors() == []
    drawn = [Image.open(ground.folder / "out" / row["image"]) for row in outcome.rows()]
    assert [picture.size for picture in drawn] == [(shape["width"], shape["height"])] * len(TEXTS)
    assert drawn[0].tobytes() != drawn[1].tobytes()
    assert watch.most_gib <= MOST_GIB.get(name, MOST_GIB["SD3"])
