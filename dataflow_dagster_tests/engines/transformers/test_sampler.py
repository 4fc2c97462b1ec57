from collections import Counter
from dataclasses import replace

import torch

from dataflow_dagster.engines.language import Sampling
from dataflow_dagster.engines.transformers.sampler import RowSampler

PLAIN = Sampling(1, top_p=1, top_k=0, repetition_penalty=1, max_tokens=1)
LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0])


def draw(sampling: Sampling, logits: torch.Tensor, seeds: int) -> Counter[int]:
    """How often each token is drawn, one row per seed."""
    rows = logits.expand(seeds, -1).clone()
    prompts = torch.zeros(seeds, 1, dtype=torch.long)
    sampler = RowSampler(sampling, range(seeds), torch.ones_like(prompts))
    return Counter(sampler(prompts, rows).argmax(dim=-1).tolist())


def test_tokens_are_drawn_as_often_as_softmax_says() -> None:
    drawn = draw(PLAIN, LOGITS, 20_000)
    for token, share in enumerate(LOGITS.softmax(dim=-1).tolist()):
        assert abs(drawn[token] / 20_000 - share) < 0.012  # four standard deviations


def test_temperature_sharpens_the_law() -> None:
    drawn = draw(replace(PLAIN, temperature=0.5), LOGITS, 10_000)
    assert abs(drawn[0] / 10_000 - (LOGITS / 0.5).softmax(dim=-1)[0].item()) < 0.015


def test_top_k_keeps_so_many_tokens() -> None:
    assert set(draw(replace(PLAIN, top_k=2), LOGITS, 2_000)) == {0, 1}


def test_top_p_keeps_tokens_up_to_that_share() -> None:
    assert set(draw(replace(PLAIN, top_p=0.7), LOGITS, 2_000)) == {0, 1}


def test_top_k_of_minus_one_and_zero_keep_all() -> None:
    for off in (0, -1):
        assert set(draw(replace(PLAIN, top_k=off), LOGITS, 2_000)) == {0, 1, 2, 3}


def test_a_penalty_lowers_tokens_of_prompt_and_answer_but_no_pads() -> None:
    greedy = replace(PLAIN, temperature=0, repetition_penalty=2)
    mask = torch.tensor([[0, 1], [1, 1]])
    sampler = RowSampler(greedy, [0, 0], mask)
    tokens = torch.tensor([[0, 1, 3], [0, 1, 3]])  # two of the prompt, one of the answer
    scored = sampler(tokens, LOGITS.expand(2, -1).clone())
    assert scored.tolist() == [[2.0, 0.5, 0.0, -2.0], [1.0, 0.5, 0.0, -2.0]]


def test_a_row_with_logits_that_are_not_numbers_is_marked() -> None:
    prompts = torch.zeros(2, 1, dtype=torch.long)
    sampler = RowSampler(PLAIN, [0, 1], torch.ones_like(prompts))
    sampler(prompts, torch.stack([LOGITS, LOGITS * float("nan")]))
    assert sampler.broken.tolist() == [False, True]
