from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the scene models are trained with torch")
pytest.importorskip("transformers", reason="the scenes LLaVA is trained in transformers")

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from dataflow_dagster.scenes.train_llava import REPETITION_PENALTY, penalise, train_llava


@pytest.mark.full
@pytest.mark.usefixtures("torch_threads")
def test_a_short_training_lowers_the_loss_and_writes_a_checkpoint(tmp_path: Path) -> None:
    losses = train_llava(tmp_path, steps=24, pictures=64, rounds=2)
    assert len(losses) == 24
    assert sum(losses[-4:]) < 0.95 * sum(losses[:4])
    AutoProcessor.from_pretrained(tmp_path)
    _, loading = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values())


@pytest.mark.usefixtures("torch_threads")
def test_two_trainings_are_the_same(tmp_path: Path) -> None:
    first, second = (train_llava(tmp_path, steps=3, pictures=32, rounds=1) for _ in range(2))
    assert first == second


def test_the_penalty_is_the_one_of_transformers() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    inputs, logits = torch.tensor([[3, 1, 1], [0, 2, 4]]), torch.randn(2, 6)
    used = torch.zeros(2, 6, dtype=torch.bool).scatter(1, inputs, value=True)
    theirs = RepetitionPenaltyLogitsProcessor(REPETITION_PENALTY)(inputs, logits)
    assert torch.equal(penalise(logits, used), theirs)
