"""Trains the scenes Qwen2-VL on clips of seen moving scenes, each drawn for one step alone.

The weights that are shipped were trained before `mend_positions` stood here. Clips of four frames
have nothing to mend; of eight they lie over the text then, which is why these are told less surely.
"""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

from dataflow_dagster.engines.transformers.positions import mend_positions
from dataflow_dagster.scenes.drawing import PALETTE, SHAPES
from dataflow_dagster.scenes.moving import MOVES, SEEN_MOVING, MovingScene, choose_path
from dataflow_dagster.scenes.qwen_vl import (
    CLIP,
    MERGED,
    QUESTION,
    SIDE,
    build_model,
    build_processor,
    save,
)
from dataflow_dagster.scenes.train_llava import mark_used, penalise
from dataflow_dagster.scenes.training import Optimiser, seed_everything

BATCH = 32
FRAMES = (4, 4, 8)
"""Frames of the clips of a step, by turns."""
FULL_JITTER = 0.15
"""Share of the steps over which paths and sizes spread from their means to their full range."""
SWAPPED_WORDS = 0.15
SAVE_EVERY = 500
SHARPNESS, NOISE = (0.5, 1.5), 6.0
"""Of edges: pixels that one takes, inverted; the largest standard deviation, of 255."""


def train_qwen_vl(folder: Path, steps: int = 5500) -> list[float]:
    """Writes a float32 checkpoint to `folder`.

    Returns:
        The loss of each step.
    """
    rng = seed_everything(11)
    processor = build_processor()
    model = build_model(processor).train()
    mend_positions(model)
    optimiser = Optimiser(model.parameters(), 1e-3, steps)
    trainers = {frames: _Trainer(model, processor, frames) for frames in FRAMES}
    for step in range(steps):
        jitter = min(1.0, step / (FULL_JITTER * steps))
        optimiser.step(trainers[FRAMES[step % len(FRAMES)]].loss(rng, jitter))
        if (step + 1) % SAVE_EVERY == 0:
            save(model, processor, folder)
    save(model, processor, folder)
    return optimiser.losses


class _Trainer:
    """Loss of clips that all have as many frames: one prompt, and captions of as many words."""

    def __init__(
        self, model: Qwen2VLForConditionalGeneration, processor: Qwen2VLProcessor, frames: int
    ) -> None:
        self._model = model
        self._processor = processor
        self._frames = frames
        self._tokenizer = processor.tokenizer
        self._grid = _patches(processor, torch.zeros(1, frames, 3, SIDE, SIDE))[1]
        self._prompt = _expanded_prompt(processor, int(self._grid.prod()) // MERGED**2)
        self._kinds = [self._tokens(kind) for kind in (PALETTE, SHAPES, MOVES)]
        answer = len(self._answers(SEEN_MOVING[:1])[0]) - 1
        row = torch.tensor([[*self._prompt, *[0] * answer]])
        types = 2 * (row == self._tokenizer.convert_tokens_to_ids(CLIP)).int()
        reader: Any = model.model  # it wants tensors typed by what they hold
        self._places, _ = reader.get_rope_index(row, types, video_grid_thw=self._grid)

    def loss(self, rng: random.Random, jitter: float) -> Tensor:
        """Cross-entropy of the answers' tokens, half of it after the repetition penalty."""
        chosen = [rng.choice(SEEN_MOVING) for _ in range(BATCH)]
        drawn = torch.stack([draw_fast(moving, rng, self._frames, jitter) for moving in chosen])
        patches, _ = _patches(self._processor, drawn)
        answers = torch.tensor(self._answers(chosen))
        fed_back = answers[:, :-1].clone().apply_(lambda token: self._swap(token, rng))
        inputs = torch.cat([torch.tensor(self._prompt).expand(BATCH, -1), fed_back], 1)
        logits = self._model(
            input_ids=inputs,
            position_ids=self._places.expand(-1, BATCH, -1),
            pixel_values_videos=patches,
            video_grid_thw=self._grid.expand(BATCH, -1),
            logits_to_keep=answers.shape[1],
        ).logits.flatten(0, 1)
        used = mark_used(inputs, logits.shape[-1])[:, -answers.shape[1] :].flatten(0, 1)
        plain, penalised = (
            cross_entropy(each, answers.flatten()) for each in (logits, penalise(logits, used))
        )
        return 0.5 * plain + 0.5 * penalised

    def _answers(self, chosen: Sequence[MovingScene]) -> list[list[int]]:
        ends = self._tokenizer.eos_token
        return self._tokenizer([f"{moving.caption}{ends}" for moving in chosen]).input_ids

    def _tokens(self, words: Iterable[str]) -> list[int]:
        return [token for (token,) in self._tokenizer([f" {word}" for word in words]).input_ids]

    def _swap(self, token: int, rng: random.Random) -> int:
        """Now and then another of its kind, so that the next word is read from the clip."""
        kind = next((kind for kind in self._kinds if token in kind), None)
        return rng.choice(kind) if kind and rng.random() < SWAPPED_WORDS else token


def draw_fast(moving: MovingScene, rng: random.Random, count: int, jitter: float = 1.0) -> Tensor:
    """uint8, (count, 3, `SIDE`, `SIDE`): as `draw_frames`, by distances; blurred, with noise."""
    path = choose_path(moving.move, rng, jitter)
    centres = torch.tensor([path.centre(number / (count - 1)) for number in range(count)])
    line = (torch.arange(SIDE) + 0.5) / SIDE
    x = (line - centres[:, :1])[:, None, :]
    y = (line - centres[:, 1:])[:, :, None]
    inside = _depth(moving.scene.shape, x, y, path.radius) * SIDE * rng.uniform(*SHARPNESS)
    shown, behind = (
        torch.tensor(PALETTE[name])[:, None, None]
        for name in (moving.scene.colour, moving.scene.background)
    )
    pixels = torch.lerp(behind.float(), shown.float(), (inside + 0.5).clamp(0, 1)[:, None])
    noise = torch.randn_like(pixels) * rng.uniform(0, NOISE)
    return (pixels + noise).round().clamp(0, 255).to(torch.uint8)


def _depth(shape: str, x: Tensor, y: Tensor, radius: float) -> Tensor:
    """How far inside the shape a place is; negative outside."""
    if shape == "circle":
        return radius - (x * x + y * y).sqrt()
    if shape == "square":
        return 0.9 * radius - torch.maximum(x.abs(), y.abs())
    slant = (1 + 1.85**2) ** 0.5
    return torch.minimum(0.85 * radius - y, (radius + y - 1.85 * x.abs()) / slant)


def _patches(processor: Qwen2VLProcessor, clips: Tensor) -> tuple[Tensor, Tensor]:
    """Patches of all clips, one behind the other, and (1, 3): of one, in time, height, width."""
    made = processor.video_processor(
        videos=list(clips), do_sample_frames=False, return_tensors="pt"
    )
    return made["pixel_values_videos"], made["video_grid_thw"][:1]


def _expanded_prompt(processor: Qwen2VLProcessor, count: int) -> list[int]:
    content = [{"type": "video"}, {"type": "text", "text": QUESTION}]
    turns: Any = [{"role": "user", "content": content}]
    text = processor.apply_chat_template(turns, add_generation_prompt=True)
    return processor.tokenizer(text.replace(CLIP, CLIP * count)).input_ids
