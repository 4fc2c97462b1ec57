import json
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.engines.transformers.session import TransformersSession, open_session
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.requests import (
    GREEDY,
    LLAVA,
    LLAVA_HEAD,
    LLAVA_WEIGHTS,
    LONG,
    PROMPT,
    TRANSFORMERS,
    WILD,
    answer,
    answer_once,
    ask,
    change_weights,
    language,
    make_babbler,
    picture,
    texts,
)

SIX = [ask(number) for number in range(6)]


@pytest.fixture(scope="module")
def greedy() -> Iterator[TransformersSession]:
    session = open_session(TRANSFORMERS, language())
    yield session
    session.close()


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_babbler(tmp_path_factory.mktemp("models") / "babbler")


@pytest.fixture(scope="module")
def wild(babbler: str) -> Iterator[TransformersSession]:
    session = open_session(TRANSFORMERS, language(WILD, model_path=babbler))
    yield session
    session.close()


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_any_number_of_requests_is_answered_in_order(
    greedy: TransformersSession, count: int
) -> None:
    answered = list(greedy.answers(iter(SIX[:count])))
    assert [number for number, _ in answered] == list(range(count))
    assert all(isinstance(given, Answer) for _, given in answered)


def test_a_second_shard_is_answered_by_the_same_session(greedy: TransformersSession) -> None:
    assert answer(greedy, SIX[:2]) == answer(greedy, SIX[:2])


def test_different_pictures_get_different_answers_each_its_own(
    greedy: TransformersSession,
) -> None:
    together = texts(answer(greedy, SIX))
    assert len(set(together.values())) == len(SIX)
    for request in SIX:
        assert texts(answer(greedy, [request])) == {request.number: together[request.number]}


def test_the_details_tell_tokens_and_why_the_answer_ended(greedy: TransformersSession) -> None:
    (given,) = answer(greedy, SIX[:1]).values()
    assert isinstance(given, Answer)
    assert given.details["finish_reason"] == "stop"
    assert 3 <= given.details["completion_tokens"] < GREEDY.max_tokens
    assert given.details["prompt_tokens"] > 16  # those of the picture are among them


def test_a_sampled_answer_does_not_depend_on_its_neighbours(wild: TransformersSession) -> None:
    row = ask(3, seed=2**63 - 1)
    alone = texts(answer(wild, [row]))[3]
    short = texts(answer(wild, [ask(0), row, ask(1)]))[3]
    long = texts(answer(wild, [ask(0, prompt=LONG), ask(2, seed=7), row, ask(1)]))[3]
    assert alone == short == long


def test_a_penalised_answer_does_not_depend_on_how_far_it_is_padded(babbler: str) -> None:
    penalised = replace(WILD, repetition_penalty=2.0)
    session = open_session(TRANSFORMERS, language(penalised, model_path=babbler))
    row = ask(3)
    alone = texts(answer(session, [row]))[3]
    padded = texts(answer_once(session, [row, ask(0, prompt=LONG)]))[3]
    assert alone == padded


def test_equal_rows_with_unlike_seeds_get_answers_of_their_own(wild: TransformersSession) -> None:
    rows = [Request(number, number, PROMPT, picture(0)) for number in range(12)]
    assert len(set(texts(answer(wild, rows)).values())) == 12


def test_the_same_seed_gives_the_same_answer_again(wild: TransformersSession) -> None:
    rows = [ask(number, seed=5) for number in range(3)]
    assert texts(answer(wild, rows)) == texts(answer(wild, rows))


def test_temperature_zero_draws_nothing_from_the_seed(greedy: TransformersSession) -> None:
    one, two = ask(1, seed=1), ask(1, seed=2)
    assert answer(greedy, [one]) == answer(greedy, [two])


@pytest.mark.parametrize("changes", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-6}], ids=str)
def test_keeping_only_the_likeliest_token_equals_temperature_zero(
    babbler: str, wild: TransformersSession, changes: dict[str, float]
) -> None:
    greedy = open_session(TRANSFORMERS, language(model_path=babbler))
    narrow = open_session(TRANSFORMERS, language(replace(WILD, **changes), model_path=babbler))
    likeliest = texts(answer_once(narrow, SIX))
    assert likeliest == texts(answer_once(greedy, SIX))
    assert likeliest != texts(answer(wild, SIX))


def test_a_repetition_penalty_changes_answers(babbler: str) -> None:
    plain, penalised = (
        open_session(
            TRANSFORMERS, language(replace(GREEDY, repetition_penalty=by), model_path=babbler)
        )
        for by in (1.0, 1.5)
    )
    assert texts(answer_once(penalised, SIX)) != texts(answer_once(plain, SIX))


def test_max_tokens_cuts_the_answer(greedy: TransformersSession) -> None:
    session = open_session(TRANSFORMERS, language(replace(GREEDY, max_tokens=3)))
    (cut,) = answer_once(session, SIX[:1]).values()
    (whole,) = answer(greedy, SIX[:1]).values()
    assert isinstance(cut, Answer)
    assert isinstance(whole, Answer)
    assert (cut.details["completion_tokens"], cut.details["finish_reason"]) == (3, "length")
    assert str(whole.text).startswith(str(cut.text))


def test_the_prompt_changes_the_answer(greedy: TransformersSession) -> None:
    other = ask(0, prompt="USER: <image>\nHow are you?\nASSISTANT:")
    assert texts(answer(greedy, [other])) != texts(answer(greedy, SIX[:1]))


def test_a_prompt_beyond_max_model_len_costs_one_row() -> None:
    session = open_session(TRANSFORMERS, language(max_model_len=60))
    answered = answer_once(session, [ask(0), ask(1, prompt=LONG), ask(2)])
    refused = answered[1]
    assert isinstance(refused, RowError)
    assert refused.kind == "prompt_too_long"
    assert "60" in refused.message
    assert isinstance(answered[0], Answer)
    assert isinstance(answered[2], Answer)


def test_an_answer_ends_where_max_model_len_is_reached(greedy: TransformersSession) -> None:
    (whole,) = answer(greedy, SIX[:1]).values()
    assert isinstance(whole, Answer)
    room = whole.details["prompt_tokens"] + 2
    session = open_session(TRANSFORMERS, language(max_model_len=room))
    (cut,) = answer_once(session, SIX[:1]).values()
    assert isinstance(cut, Answer)
    assert (cut.details["completion_tokens"], cut.details["finish_reason"]) == (2, "length")


def test_a_row_the_engine_cannot_take_costs_that_row(greedy: TransformersSession) -> None:
    answered = answer(greedy, [ask(0), ask(1, prompt="\ud800" + PROMPT), ask(2)])
    refused = answered[1]
    assert isinstance(refused, RowError)
    assert refused.kind == "refused"
    assert texts({0: answered[0], 2: answered[2]}) == texts(answer(greedy, [ask(0), ask(2)]))


def test_rows_that_all_fail_alike_from_the_start_are_the_engines_fault() -> None:
    session = open_session(TRANSFORMERS, language())
    with pytest.raises(TypeError):
        answer_once(session, [ask(number, prompt="\ud800") for number in range(8)])


def test_weights_that_are_not_numbers_give_row_errors(tmp_path: Path) -> None:
    broken = change_weights(
        LLAVA, LLAVA_WEIGHTS, LLAVA_HEAD, lambda head: head.fill_(float("nan")), tmp_path / "nan"
    )
    session = open_session(TRANSFORMERS, language(model_path=broken))
    for given in answer_once(session, SIX[:2]).values():
        assert isinstance(given, RowError)
        assert given.kind == "not_finite"


def test_bfloat16_is_what_the_weights_are_loaded_in() -> None:
    session = open_session(replace(TRANSFORMERS, precision="bfloat16"), language())
    assert {str(weight.dtype) for weight in session._opened().model.parameters()} == {  # noqa: SLF001  # the effect is in memory alone
        "torch.bfloat16"
    }
    assert isinstance(answer_once(session, SIX[:2])[1], Answer)


@pytest.mark.parametrize(("batch_size", "max_num_seqs", "held"), [(4, 128, 8), (4, 2, 4)])
def test_no_more_than_two_batches_are_taken_ahead(
    batch_size: int, max_num_seqs: int, held: int
) -> None:
    taken: list[int] = []

    def requests() -> Iterator[Request]:
        for number in range(20):
            taken.append(number)
            yield ask(number)

    session = open_session(TRANSFORMERS, language(batch_size=batch_size, max_num_seqs=max_num_seqs))
    answers = session.answers(requests())
    next(answers)
    assert len(taken) == held
    assert len(list(answers)) == 19
    session.close()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("quantization", "fp8"),
        ("gpu_memory_utilization", 0.5),
        ("max_model_len", 10**7),
        ("mm_processor_kwargs", {"max_pixel": 4}),
    ],
)
def test_what_transformers_cannot_do_is_refused_when_it_is_opened(
    setting: str, value: object
) -> None:
    with pytest.raises(UnfitSettingError, match=setting):
        open_session(TRANSFORMERS, language(**{setting: value}))


def test_code_that_comes_with_weights_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    own = Path(shutil.copytree(LLAVA, tmp_path / "own"))
    config = json.loads((own / "config.json").read_text())
    classes = {"AutoConfig": "own.OwnConfig", "AutoModelForImageTextToText": "own.OwnModel"}
    changed = {**config, "model_type": "own_llava", "auto_map": classes}
    (own / "config.json").write_text(json.dumps(changed))
    (own / "own.py").write_text(
        "from transformers import LlavaConfig, LlavaForConditionalGeneration\n"
        "class OwnConfig(LlavaConfig):\n    model_type = 'own_llava'\n"
        "class OwnModel(LlavaForConditionalGeneration):\n    config_class = OwnConfig\n"
    )
    with pytest.raises(ValueError, match="trust_remote_code"):
        open_session(TRANSFORMERS, language(model_path=str(own)))
    trusting = open_session(TRANSFORMERS, language(model_path=str(own), trust_remote_code=True))
    assert isinstance(answer_once(trusting, SIX[:1])[0], Answer)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    answer_once(open_session(TRANSFORMERS, language(WILD)), [ask(0), ask(1, prompt=PROMPT * 200)])
    assert capfd.readouterr() == ("", "")


def test_a_closed_session_holds_no_weights() -> None:
    session = open_session(TRANSFORMERS, language())
    weights = weakref.ref(next(session._opened().model.parameters()))  # noqa: SLF001  # the effect is in memory alone
    answer_once(session, [ask(0)])
    assert weights() is None
