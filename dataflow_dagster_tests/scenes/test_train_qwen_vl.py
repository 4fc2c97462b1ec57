import random
from pathlib import Path

import pytest

pytest.importorskip("torchvision", reason="transformers needs torchvision for clips")

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from dataflow_dagster.scenes.drawing import SHAPES
from dataflow_dagster.scenes.moving import SEEN_MOVING, draw_frames
from dataflow_dagster.scenes.qwen_vl import SIDE
from dataflow_dagster.scenes.train_qwen_vl import draw_fast, train_qwen_vl


@pytest.mark.full
@pytest.mark.usefixtures("torch_threads")
def test_a_short_training_lowers_the_loss_and_writes_a_checkpoint(tmp_path: Path) -> None:
    losses = train_qwen_vl(tmp_path, steps=15)
    assert len(losses) == 15
    assert sum(losses[-3:]) < 0.96 * sum(losses[:3])
    AutoProcessor.from_pretrained(tmp_path)
    _, loading = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())


@pytest.mark.usefixtures("torch_threads")
def test_two_trainings_are_the_same(tmp_path: Path) -> None:
    first, second = (train_qwen_vl(tmp_path, steps=3) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_drawn_fast_is_what_is_drawn_well(shape: str) -> None:
    torch.manual_seed(0)
    for moving in [one for one in SEEN_MOVING if one.scene.shape == shape][::20]:
        fast = draw_fast(moving, random.Random(4), 4).permute(0, 2, 3, 1).numpy().astype(float)
        well = np.stack(
            [np.asarray(frame) for frame in draw_frames(moving, random.Random(4), 4, SIDE)]
        )
        assert np.abs(fast - well).mean() < 8
