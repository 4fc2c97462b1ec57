from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the scene models are trained with torch")
pytest.importorskip("diffusers", reason="the scenes FLUX is trained in diffusers")

import torch
from diffusers import AutoencoderKL

from dataflow_dagster.scenes import train_vae as training
from dataflow_dagster.scenes.train_vae import train_decoder, train_vae


@pytest.mark.full
@pytest.mark.usefixtures("torch_threads")
def test_a_short_training_lowers_the_loss_then_changes_the_decoder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "BATCH", 1)
    losses = train_vae(tmp_path, steps=6, pictures=1)
    assert losses[-1] < losses[0]
    before = AutoencoderKL.from_pretrained(tmp_path)
    assert before.config["scaling_factor"] > 0
    assert len(train_decoder(tmp_path, steps=1, pictures=1)) == 1
    after = AutoencoderKL.from_pretrained(tmp_path).state_dict()
    changed = {
        name.split(".")[0]
        for name, weight in before.state_dict().items()
        if not torch.equal(weight, after[name])
    }
    assert changed == {"decoder"}
