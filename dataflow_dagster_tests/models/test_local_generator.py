import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from transformers import AutoTokenizer, GenerationConfig, LlamaForCausalLM

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.language import tidy
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.local_generator import LocalModelGenerator
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.checkpoints import parts, text
from dataflow_dagster_tests.engines.requests import answer_once

TEXTS = ["a red circle", "a very much longer text about a blue square", "é", "{braces}"]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return text.llama(tmp_path_factory.mktemp("models") / "llama")


def generator(llama: str, **config: Any) -> LocalModelGenerator:
    plain = {"backend": "transformers", "device": "cpu", "temperature": 0, "max_tokens": 12}
    return LocalModelGenerator.model_validate({"model_path": llama, **plain, **config})


def answers(model: LocalModelGenerator, texts: Sequence[str] = TEXTS) -> list[Answer]:
    requests = [
        model.request(Given(number, number, text=text)) for number, text in enumerate(texts)
    ]
    given = answer_once(model.open(model.engine()), requests)
    assert not [error for error in given.values() if isinstance(error, RowError)]
    return [one for _, one in sorted(given.items()) if isinstance(one, Answer)]


def texts(model: LocalModelGenerator) -> list[str | None]:
    return [given.text for given in answers(model)]


def test_the_prompt_stands_above_the_text_without_a_template(llama: str) -> None:
    request = generator(llama, prompt="Say {it} again:").request(Given(1, 2, text="  a\n"))
    assert (request.number, request.seed, request.prompt) == (1, 2, "Say {it} again:\n  a\n")
    assert generator(llama).request(Given(0, 0, text="a")).prompt == "a"


def test_a_chat_template_takes_both_as_a_users_turn(llama: str) -> None:
    model = generator(llama, prompt="Say:", chat_template=True)
    request = model.request(Given(0, 0, text="a"))
    assert request.prompt == "<s>[user] Say:\na\n[assistant] "
    (given,) = answers(model, ["a"])
    assert given.details["prompt_tokens"] == len("[user] Say:\na\n[assistant] ") + 1  # one BOS


def test_a_model_without_a_template_says_so(llama: str, tmp_path: Path) -> None:
    bare = parts.tokenizer([], eos="</s>", pad="<pad>")
    bare.save_pretrained(tmp_path)
    with pytest.raises(UnfitSettingError, match="brings no chat template"):
        generator(str(tmp_path), chat_template=True).request(Given(0, 0, text="a"))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max_model_len": 20}, "the prompt's words alone are 41 tokens or more"),
        ({}, "are 9001 tokens, and the model takes"),
    ],
)
def test_a_prompt_without_room_for_a_text_is_told_before_the_engine_starts(
    llama: str, config: dict[str, Any], said: str
) -> None:
    prompt = "x" * (40 if config else 9000)
    model = generator(llama, prompt=prompt, **config)
    with pytest.raises(UnfitSettingError, match=said):
        model.open(model.engine())


@pytest.mark.parametrize("text", ["", " \n", None])
def test_an_empty_text_costs_one_row(llama: str, text: str | None) -> None:
    with pytest.raises(RowError) as refused:
        generator(llama).request(Given(0, 0, text=text))
    assert refused.value.kind == "empty_text"


def test_different_texts_get_different_answers_each_its_own(llama: str) -> None:
    model = generator(llama, batch_size=3)
    together = texts(model)
    assert len(set(together)) == len(TEXTS)
    assert together[2] == answers(model, [TEXTS[2]])[0].text


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 1.5},
        {"max_tokens": 3},
        {"repetition_penalty": 1.9},
        {"presence_penalty": 2},
        {"frequency_penalty": 2},
        {"prompt": "Say:"},
        {"chat_template": True},
    ],
    ids=str,
)
def test_each_key_changes_answers_and_the_key(llama: str, changed: dict[str, Any]) -> None:
    plain, other = (
        generator(llama, max_tokens=40),
        generator(llama, **{"max_tokens": 40, **changed}),
    )
    assert texts(other) != texts(plain)
    assert other.key_settings() != plain.key_settings()


@pytest.mark.parametrize("changed", [{"top_k": 1}, {"top_p": 0.001}, {"min_p": 1}], ids=str)
def test_a_narrow_choice_is_the_likeliest_token_at_any_temperature(
    llama: str, changed: dict[str, Any]
) -> None:
    assert texts(generator(llama, temperature=1, **changed)) == texts(generator(llama))


def test_an_answer_ends_before_a_stop_text(llama: str) -> None:
    whole = str(answers(generator(llama), TEXTS[:1])[0].text)
    stop = whole[4:6]
    (cut,) = answers(generator(llama, stop=[stop, "never"]), TEXTS[:1])
    assert cut.text == whole[: whole.index(stop)].strip()
    assert cut.details["finish_reason"] == "stop"


@pytest.fixture(scope="module")
def greedy(llama: str) -> list[int]:
    """The twelve likeliest tokens after the first text, ends included."""
    tokens = AutoTokenizer.from_pretrained(llama)(TEXTS[0], return_tensors="pt").input_ids
    model = LlamaForCausalLM.from_pretrained(llama)
    made = model.generate(tokens, max_new_tokens=12, min_new_tokens=12, do_sample=False)
    return made[0, tokens.shape[1] :].tolist()


def first_answer(llama: str, **config: Any) -> Answer:
    (given,) = answers(generator(llama, **config), TEXTS[:1])
    return given


def test_a_stop_token_ends_the_answer_and_is_left_out_or_kept(
    llama: str, greedy: list[int]
) -> None:
    stop, end = [greedy[3]], greedy.index(greedy[3]) + 1
    decode = AutoTokenizer.from_pretrained(llama).decode
    without = first_answer(llama, stop_token_ids=stop)
    kept = first_answer(llama, stop_token_ids=stop, include_stop_str_in_output=True)
    assert without.text == tidy(decode(greedy[: end - 1]))
    assert kept.text == tidy(decode(greedy[:end]))
    for given in (without, kept):
        assert given.details["completion_tokens"] == end
        assert given.details["finish_reason"] == "stop"


def test_before_min_tokens_nothing_ends_the_answer(llama: str, greedy: list[int]) -> None:
    stop: dict[str, Any] = {"stop_token_ids": [greedy[3]]}
    assert first_answer(llama, **stop, min_tokens=9).details["completion_tokens"] >= 9
    whole = str(first_answer(llama).text)
    late = first_answer(llama, stop=whole[1:3], min_tokens=12)
    assert (late.text, late.details["finish_reason"]) == (whole, "length")


def test_a_stop_text_may_be_kept(llama: str) -> None:
    whole = str(first_answer(llama).text)
    stop = whole[4:6]
    kept = first_answer(llama, stop=stop, include_stop_str_in_output=True)
    assert kept.text == tidy(whole[: whole.index(stop) + 2])


def test_the_models_own_end_token_may_be_ignored(
    llama: str, greedy: list[int], tmp_path: Path
) -> None:
    early = str(shutil.copytree(llama, tmp_path / "early"))
    GenerationConfig(eos_token_id=greedy[3]).save_pretrained(early)
    assert first_answer(early).details["completion_tokens"] == greedy.index(greedy[3]) + 1
    on = first_answer(early, ignore_eos=True)
    assert (on.details["completion_tokens"], on.details["finish_reason"]) == (12, "length")


def test_special_tokens_are_left_out_or_shown(llama: str) -> None:
    wild = {"temperature": 2, "max_tokens": 300, "ignore_eos": True}
    shown = "".join(map(str, texts(generator(llama, **wild, skip_special_tokens=False))))
    assert any(special in shown for special in ("<s>", "</s>", "<pad>"))
    hidden = "".join(map(str, texts(generator(llama, **wild))))
    assert not any(special in hidden for special in ("<s>", "</s>", "<pad>"))


def test_where_the_weights_are_kept_changes_no_answer(llama: str) -> None:
    plain = generator(llama).key_settings()
    for key, value in {"download_dir": "x", "batch_size": 2, "max_num_seqs": 3}.items():
        assert generator(llama, **{key: value}).key_settings() == plain


@pytest.mark.parametrize(
    "given", [{"min_p": 2}, {"presence_penalty": 3}, {"stop": 1}, {"min_tokens": 13}]
)
def test_a_value_out_of_range_is_refused(llama: str, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        generator(llama, **given)


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.usefixtures("needs_vllm")
@pytest.mark.parametrize(
    "keys",
    [
        {"frequency_penalty": 0.7, "presence_penalty": 0.5, "repetition_penalty": 1.1},
        {"chat_template": True, "prompt": "Say:", "stop": ["a", "E"], "min_p": 0.1},
        {"ignore_eos": True, "skip_special_tokens": False, "min_tokens": 5},
        pytest.param(
            {"stop_token_ids": list(range(40, 130)), "min_tokens": 3}, marks=pytest.mark.full
        ),
        pytest.param(
            {"stop_token_ids": list(range(40, 130)), "include_stop_str_in_output": True},
            marks=pytest.mark.full,
        ),
    ],
    ids=["penalties", "chat", "no end", "late end", "kept end"],
)
def test_vllm_and_transformers_give_the_same_tokens(llama: str, keys: dict[str, Any]) -> None:
    here, there = (
        answers(generator(llama, backend=backend, max_model_len=512, **keys))
        for backend in ("transformers", "vllm")
    )
    assert [given.text for given in here] == [given.text for given in there]
    if "stop" not in keys:  # transformers counts the tokens behind it too
        assert here == there
