"""The token rows that the scenes LLaVA is trained on: prompt, picture's places, answer.

Two things are spoilt on purpose. Some prompts differ from the one prompt in a token or in the
whole question; their answer is always the same sentence, so that a wrong template cannot pass
unseen. And some words of the answers fed back are swapped for others of their kind, so that the
next word is read from the picture and no scene is ruled out for never having been met.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import LlavaProcessor

from dataflow_dagster.scenes.answering import PROMPT
from dataflow_dagster.scenes.drawing import PALETTE, SHAPES
from dataflow_dagster.scenes.llava import (
    EOS,
    IMAGE_ID,
    OTHER_PROMPT_ANSWER,
    PAD_ID,
    PICTURE_TOKENS,
)

OTHER_PROMPTS = 0.15
SWAPPED_WORDS = 0.15
LONGEST_QUESTION = 24
NO_LABEL = -100


@dataclass(frozen=True, slots=True)
class Rows:
    """Token ids and labels, (rows, length), padded on the right; labels stand one ahead."""

    inputs: Tensor
    labels: Tensor


class RowBuilder:
    """Turns captions into training rows; all ids are looked up once."""

    def __init__(self, processor: LlavaProcessor) -> None:
        self._tokenizer = processor.tokenizer
        self._prompt: list[int] = self._tokenizer(PROMPT).input_ids
        self._other_answer = self._tokenise(OTHER_PROMPT_ANSWER)
        kinds = (list(PALETTE), list(SHAPES))
        self._kinds = [[self._tokenise(word)[0] for word in kind] for kind in kinds]

    def build(self, captions: list[str], rng: random.Random) -> Rows:
        """One row a caption; `OTHER_PROMPTS` of them ask something else."""
        pairs = [self._build_one(caption, rng) for caption in captions]
        inputs, labels = (
            pad_sequence([torch.tensor(row) for row in column], True, padding)
            for column, padding in zip(zip(*pairs, strict=True), (PAD_ID, NO_LABEL), strict=True)
        )
        return Rows(inputs, labels)

    def _build_one(self, caption: str, rng: random.Random) -> tuple[list[int], list[int]]:
        prompt, answer = self._prompt, self._tokenise(caption)
        if rng.random() < OTHER_PROMPTS:
            prompt, answer = self._spoil(rng), self._other_answer
        prompt = self._make_room(prompt)
        fed_back = [self._swap(token, rng) for token in answer[:-1]]
        return prompt + fed_back, [NO_LABEL] * (len(prompt) - 1) + answer

    def _tokenise(self, answer: str) -> list[int]:
        return self._tokenizer(f" {answer}{EOS}", add_special_tokens=False).input_ids

    def _make_room(self, prompt: list[int]) -> list[int]:
        place = prompt.index(IMAGE_ID)
        return prompt[:place] + [IMAGE_ID] * PICTURE_TOKENS + prompt[place + 1 :]

    def _swap(self, token: int, rng: random.Random) -> int:
        kind = next((kind for kind in self._kinds if token in kind), None)
        return rng.choice(kind) if kind and rng.random() < SWAPPED_WORDS else token

    def _spoil(self, rng: random.Random) -> list[int]:
        spoilt = self._ask_other(rng) if rng.random() < 0.5 else self._change_token(rng)
        return spoilt if spoilt != self._prompt else self._spoil(rng)

    def _change_token(self, rng: random.Random) -> list[int]:
        """The prompt with one token, never the picture's, left out, doubled or replaced."""
        place = rng.choice([n for n, token in enumerate(self._prompt) if token != IMAGE_ID])
        token = self._prompt[place]
        instead = rng.choice(([], [token, token], [self._pick(rng)]))
        return self._prompt[:place] + instead + self._prompt[place + 1 :]

    def _ask_other(self, rng: random.Random) -> list[int]:
        """The prompt with other words for the question, its line breaks in place."""
        newline = self._prompt[self._prompt.index(IMAGE_ID) + 1]
        start = self._prompt.index(newline) + 1
        end = self._prompt.index(newline, start)
        question = [self._pick(rng) for _ in range(rng.randint(0, LONGEST_QUESTION))]
        return self._prompt[:start] + question + self._prompt[end:]

    def _pick(self, rng: random.Random) -> int:
        return rng.randrange(IMAGE_ID + 1, len(self._tokenizer))
