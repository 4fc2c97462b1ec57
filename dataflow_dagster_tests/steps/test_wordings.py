import pytest

from dataflow_dagster.steps.wordings import TextRules

PROMPT = "what is the content of this image"


def _found(text: str, **rules: int) -> list[str]:
    asked = TextRules(prompt=PROMPT, echo=True, refusals=True, least=0, most=None)
    if rules:
        asked = TextRules("", echo=False, refusals=False, least=rules["least"], most=rules["most"])
    return list(asked.findings(text))


@pytest.mark.parametrize("text", ["", "  \n", "...", "_ _", "🙂", "\u200b"])
def test_a_text_without_letter_or_digit_is_empty(text: str) -> None:
    assert _found(text) == ["empty"]


@pytest.mark.parametrize("text", ["a cat", "7", "一只猫", "Ω"])
def test_a_text_that_says_something_is_not(text: str) -> None:
    assert _found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "What is the content of this image?",
        "the content of this image",
        "Q: What is the content of this image? A:",
    ],
)
def test_the_prompt_said_again_is_an_echo(text: str) -> None:
    assert _found(text) == ["echo"]


@pytest.mark.parametrize(
    "text",
    [
        "image",
        "The content of this image is a cat asleep on a chair beside an open window.",
        "What is the content of this image? It shows two dogs that run along a beach at dusk.",
    ],
)
def test_an_answer_in_the_words_of_the_prompt_is_none(text: str) -> None:
    assert _found(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m unable to view this picture.",
        "I cannot describe people in images.",
        "As an AI language model, I do not see pictures.",
        "抱歉 我无法描述这张图片。",
    ],
)
def test_a_refusal_is_known_by_its_words(text: str) -> None:
    assert _found(text) == ["refusals"]


@pytest.mark.parametrize(
    "text",
    [
        "A woman who looks sorry holds a broken vase.",
        "A sign that says we do not accept cards.",
        "A long caption. " * 20 + "On the wall: I'm sorry.",
    ],
)
def test_a_caption_of_such_words_is_no_refusal(text: str) -> None:
    assert _found(text) == []


@pytest.mark.parametrize(("length", "found"), [(4, 1), (5, 0), (9, 0), (10, 1)])
def test_the_bounds_of_a_length_are_allowed(length: int, found: int) -> None:
    assert _found("x" * length, least=5, most=9) == ["length"] * found
