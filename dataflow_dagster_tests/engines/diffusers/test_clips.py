"""Clips that are none, by a real pipeline whose weights were spoilt."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLLTXVideo

from dataflow_dagster import registry
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.checkpoints import video
from dataflow_dagster_tests.engines.requests import answer_once


@pytest.mark.parametrize(
    ("weight", "kind", "said"),
    [
        (0.0, "flat_clip", r"every pixel of the clip has the colour \(128, 128, 128\)"),
        (float("nan"), "not_finite", "values that are not finite"),
    ],
)
def test_a_clip_without_anything_on_it_costs_its_row(
    weight: float, kind: str, said: str, tmp_path: Path
) -> None:
    config = {
        "model_path": video.ltx(tmp_path / "ltx"),
        "device": "cpu",
        "height": 64,
        "width": 64,
        "num_inference_steps": 1,
        "num_frames": 5,
    }
    vae = AutoencoderKLLTXVideo.from_pretrained(tmp_path / "ltx/vae")
    with torch.no_grad():
        for values in vae.decoder.parameters():
            values.fill_(weight)
    vae.save_pretrained(tmp_path / "ltx/vae")
    model = registry.find("VideoGenerator", "DiffusersVideoGenerator").model_validate(config)
    (refused,) = answer_once(
        model.open(model.engine()), [model.request(Given(0, 5, text="a red circle"))]
    ).values()
    assert isinstance(refused, RowError)
    assert refused.kind == kind
    with pytest.raises(RowError, match=said):
        raise refused
