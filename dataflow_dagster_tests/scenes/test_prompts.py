import random

import pytest

pytest.importorskip("transformers", reason="the scene models run in transformers and diffusers")

from dataflow_dagster.scenes.answering import PROMPT
from dataflow_dagster.scenes.drawing import SCENES
from dataflow_dagster.scenes.llava import (
    IMAGE,
    OTHER_PROMPT_ANSWER,
    PICTURE_TOKENS,
    build_processor,
)
from dataflow_dagster.scenes.prompts import NO_LABEL, RowBuilder

CAPTIONS = [scene.caption for scene in SCENES]


@pytest.fixture(scope="module")
def texts() -> list[tuple[str, str]]:
    """Each row's prompt and answer, as text again."""
    processor = build_processor()
    rows = RowBuilder(processor).build(CAPTIONS, random.Random(0))
    decode = processor.tokenizer.decode
    pairs: list[tuple[str, str]] = []
    for inputs, labels in zip(rows.inputs, rows.labels, strict=True):
        start = int((labels != NO_LABEL).nonzero()[0]) + 1
        prompt = decode(inputs[:start]).replace(IMAGE * PICTURE_TOKENS, IMAGE)
        pairs.append((prompt, decode(labels[labels != NO_LABEL])))
    return pairs


def test_the_prompt_is_answered_with_the_caption(texts: list[tuple[str, str]]) -> None:
    own = [
        (answer, caption)
        for (prompt, answer), caption in zip(texts, CAPTIONS, strict=True)
        if prompt == f"<s>{PROMPT}"
    ]
    assert len(own) > 60
    assert all(answer == f" {caption}</s>" for answer, caption in own)


def test_any_other_prompt_is_answered_with_the_same_sentence(
    texts: list[tuple[str, str]],
) -> None:
    others = {answer for prompt, answer in texts if prompt != f"<s>{PROMPT}"}
    assert others == {f" {OTHER_PROMPT_ANSWER}</s>"}
