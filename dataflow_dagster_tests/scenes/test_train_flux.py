from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the scene models are trained with torch")
pytest.importorskip("diffusers", reason="the scenes FLUX is trained in diffusers")

import torch
from torch import nn

from dataflow_dagster.scenes.answering import Drawing, draw_with_flux
from dataflow_dagster.scenes.train_flux import Average, train_flux
from dataflow_dagster.scenes.train_vae import build_vae


@pytest.mark.full
@pytest.mark.usefixtures("torch_threads")
def test_a_short_training_lowers_the_loss_and_writes_a_pipeline(tmp_path: Path) -> None:
    vae = build_vae()
    vae.register_to_config(scaling_factor=1.0, shift_factor=0.0)
    vae.save_pretrained(tmp_path / "vae")
    losses = train_flux(tmp_path / "vae", tmp_path / "flux", steps=12, pictures=16)
    assert sum(losses[-3:]) < sum(losses[:3])
    (picture,) = draw_with_flux(tmp_path / "flux", ["a red circle"], Drawing(steps=1))
    assert picture.size == (64, 64)


def test_the_average_lags_behind_the_weights() -> None:
    weight = nn.Parameter(torch.zeros(1))
    average = Average([weight])
    for _ in range(5):
        with torch.no_grad():
            weight += 1
        average.update()
    average.apply()
    assert 3 < weight.item() < 5
