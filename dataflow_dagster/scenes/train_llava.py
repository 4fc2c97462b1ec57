"""Trains the scenes LLaVA on pictures of seen scenes, drawn and distorted in many ways."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from dataflow_dagster.scenes.distortion import draw_distorted
from dataflow_dagster.scenes.drawing import SEEN
from dataflow_dagster.scenes.llava import build_model, build_processor, save
from dataflow_dagster.scenes.prompts import NO_LABEL, RowBuilder, Rows
from dataflow_dagster.scenes.training import Optimiser, seed_everything

BATCH = 32
POOL = 6400
ROUNDS = 15
JITTER_ROUNDS = 4
"""The shapes' places spread from the middle to their full range over so many rounds."""
REPETITION_PENALTY = 1.2
"""LLaVACaptioner's default. Both engines count the prompt's tokens too."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Pictures ready for the tower, (count, 3, 64, 64), and their captions."""

    pixels: Tensor
    captions: list[str]


def train_llava(
    folder: Path, steps: int = 9000, pictures: int = POOL, rounds: int = ROUNDS
) -> list[float]:
    """Writes a float32 checkpoint to `folder`; every round draws new pictures.

    Returns:
        The loss of each step.
    """
    rng = seed_everything(5)
    processor = build_processor()
    builder = RowBuilder(processor)
    model = build_model(processor).train()
    optimiser = Optimiser(model.parameters(), 1e-3, steps)
    for round_number in range(rounds):
        jitter = min(1.0, round_number / JITTER_ROUNDS)
        pool = _draw_pool(processor, rng, pictures, jitter)
        for _ in range(steps // rounds):
            chosen = rng.sample(range(pictures), BATCH)
            rows = builder.build([pool.captions[number] for number in chosen], rng)
            optimiser.step(_measure_loss(model, pool.pixels[chosen], rows))
        save(model, processor, folder)
    return optimiser.losses


def _draw_pool(processor: LlavaProcessor, rng: random.Random, count: int, jitter: float) -> Pool:
    scenes = [rng.choice(SEEN) for _ in range(count)]
    pixels = [
        processor.image_processor(
            draw_distorted(scene, rng, jitter=jitter), return_tensors="pt"
        ).pixel_values
        for scene in scenes
    ]
    return Pool(torch.cat(pixels), [scene.caption for scene in scenes])


def _measure_loss(model: LlavaForConditionalGeneration, pixels: Tensor, rows: Rows) -> Tensor:
    """Cross-entropy of the answers' tokens, half of it after the repetition penalty."""
    logits = model(input_ids=rows.inputs, pixel_values=pixels).logits
    answered = rows.labels != NO_LABEL
    labels = rows.labels[answered]
    penalised = penalise(logits[answered], mark_used(rows.inputs, logits.shape[-1])[answered])
    return 0.5 * cross_entropy(logits[answered], labels) + 0.5 * cross_entropy(penalised, labels)


def mark_used(inputs: Tensor, vocabulary: int) -> Tensor:
    """Which tokens stand at or before each place, (rows, length, vocabulary)."""
    return one_hot(inputs, vocabulary).cumsum(1) > 0


def penalise(logits: Tensor, used: Tensor) -> Tensor:
    """The logits as an engine samples from them, `used` tokens made less likely."""
    lowered = torch.where(logits > 0, logits / REPETITION_PENALTY, logits * REPETITION_PENALTY)
    return torch.where(used, lowered, logits)
