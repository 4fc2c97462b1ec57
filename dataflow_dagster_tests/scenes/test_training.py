import random

import pytest

pytest.importorskip("torch", reason="the scene models are trained with torch")

import torch
from torch import nn

from dataflow_dagster.scenes.drawing import SCENES, draw
from dataflow_dagster.scenes.training import (
    Optimiser,
    seed_everything,
    stack_pictures,
    to_signed,
)


@pytest.mark.usefixtures("torch_threads")
def test_the_optimiser_follows_the_loss_down() -> None:
    seed_everything(0)
    layer = nn.Linear(4, 1)
    inputs, truth = torch.randn(64, 4), torch.ones(64, 1)
    optimiser = Optimiser(layer.parameters(), peak_rate=0.1, steps=200)
    for _ in range(200):
        optimiser.step(nn.functional.mse_loss(layer(inputs), truth))
    assert len(optimiser.losses) == 200
    assert optimiser.losses[-1] < 0.01 * optimiser.losses[0]


def test_frozen_parameters_stay_as_they_are() -> None:
    layer = nn.Linear(4, 1)
    layer.bias.requires_grad_(False)
    assert [p.shape for p in Optimiser(layer.parameters(), 0.1, 1).parameters] == [(1, 4)]


def test_pictures_become_numbers_from_minus_one_to_one() -> None:
    pictures = [draw(scene, random.Random(0)) for scene in SCENES[:3]]
    stacked = stack_pictures(pictures)
    assert (stacked.shape, stacked.dtype) == ((3, 3, 64, 64), torch.uint8)
    assert tuple(stacked[1, :, 0, 0].tolist()) == pictures[1].getpixel((0, 0))
    assert to_signed(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]
