"""Tokens drawn row by row: a row's random numbers come from its own seed and nothing else."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from dataflow_dagster.engines.language import Sampling

if TYPE_CHECKING:
    from torch import Generator, Tensor

Warp = Callable[[Any, Any], "Tensor"]
"""Token ids (rows, tokens) and logits (rows, vocabulary) → changed logits."""


class RowSampler:
    """A logits processor after which the largest logit is the token drawn.

    Adding Gumbel noise and taking the largest draws from the softmax (the Gumbel-max trick), so
    `generate` runs greedily and each row's noise comes from a generator of its own. The order is
    vLLM's: penalties, temperature, min p, top k, top p.

    Args:
        sampling: The law that is drawn from.
        seeds: One per row.
        ends: Tokens that may end an answer; none is drawn before `sampling.min_tokens`.
        prompt_mask: (rows, prompt tokens), 0 where the prompt is padded. Pads are no part of a
            row: a penalty on them would make a row's answer depend on its neighbours' lengths.

    Attributes:
        broken: (rows,), True for rows that had logits which are not a number.
    """

    def __init__(
        self,
        sampling: Sampling,
        seeds: Sequence[int],
        prompt_mask: "Tensor",
        ends: Collection[int] = (),
    ) -> None:
        import torch

        self.broken = torch.zeros(len(seeds), dtype=torch.bool, device=prompt_mask.device)
        self._sampling = sampling
        self._ends = sorted(ends)
        self._prompt_mask = prompt_mask.bool()
        self._warps = _warps(sampling)
        self._generators = _generators(seeds, prompt_mask) if sampling.temperature else []

    def __call__(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Logits (rows, vocabulary) → logits of which the largest is to be taken."""
        self.broken |= scores.isnan().any(dim=-1)
        scores = self._kept_going(input_ids, scores)
        scores = self._repetition_penalised(input_ids, scores)
        scores = self._answer_penalised(input_ids, scores)
        for warp in self._warps:
            scores = warp(input_ids, scores)
        return scores + _gumbel(scores, self._generators) if self._generators else scores

    def _kept_going(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        answered = input_ids.shape[1] - self._prompt_mask.shape[1]
        if answered >= self._sampling.min_tokens:
            return scores
        ends = [token for token in self._ends if token < scores.shape[1]]
        return scores.index_fill(1, input_ids.new_tensor(ends), float("-inf"))

    def _repetition_penalised(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        penalty = self._sampling.repetition_penalty
        if penalty == 1:
            return scores
        import torch

        answered = input_ids.shape[1] - self._prompt_mask.shape[1]
        counted = torch.nn.functional.pad(self._prompt_mask, (0, answered), value=True)
        seen = torch.zeros_like(scores).scatter_add_(1, input_ids, counted.to(scores.dtype)) > 0
        lowered = torch.where(scores > 0, scores / penalty, scores * penalty)
        return torch.where(seen, lowered, scores)

    def _answer_penalised(self, input_ids: "Tensor", scores: "Tensor") -> "Tensor":
        """Penalties as OpenAI defines them: tokens of the answer so far, not of the prompt."""
        presence, frequency = self._sampling.presence_penalty, self._sampling.frequency_penalty
        if not presence and not frequency:
            return scores
        import torch

        answer = input_ids[:, self._prompt_mask.shape[1] :]
        ones = torch.ones_like(answer, dtype=scores.dtype)
        counts = torch.zeros_like(scores).scatter_add_(1, answer, ones)
        return scores - frequency * counts - presence * (counts > 0)


def _warps(sampling: Sampling) -> list[Warp]:
    from transformers import (
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    if sampling.temperature == 0:
        return []
    warps: list[Warp] = [TemperatureLogitsWarper(float(sampling.temperature))]
    if sampling.min_p > 0:
        warps.append(MinPLogitsWarper(float(sampling.min_p)))
    if sampling.top_k > 0:
        warps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warps.append(TopPLogitsWarper(float(sampling.top_p)))
    return warps


def _generators(seeds: Sequence[int], beside: "Tensor") -> "list[Generator]":
    import torch

    return [torch.Generator(device=beside.device).manual_seed(seed) for seed in seeds]


def _gumbel(scores: "Tensor", generators: "Sequence[Generator]") -> "Tensor":
    """Noise of the shape of `scores`, row by row from its own generator."""
    import torch

    noise = torch.empty_like(scores)
    for row, generator in zip(noise, generators, strict=True):
        row.exponential_(generator=generator)
    return -noise.clamp_min(torch.finfo(noise.dtype).tiny).log()
