import random
from pathlib import Path

import pytest

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.phi3v import Phi3VCaptioner
from dataflow_dagster.scenes.drawing import SEEN, draw
from dataflow_dagster_tests.engines.checkpoints.phi3v import phi3v
from dataflow_dagster_tests.engines.requests import answer_once


def test_it_says_that_it_needs_code_that_comes_with_its_weights() -> None:
    with pytest.raises(ValueError, match="write trust_remote_code: true"):
        Phi3VCaptioner()


def test_the_crops_reach_the_processor_beside_the_users_own_settings() -> None:
    model = Phi3VCaptioner(trust_remote_code=True, num_crops=4, mm_processor_kwargs={"a": 1})
    assert model.settings("weights").mm_processor_kwargs == {"num_crops": 4, "a": 1}


def test_transformers_does_not_serve_it() -> None:
    model = Phi3VCaptioner(trust_remote_code=True, backend="transformers")
    with pytest.raises(UnfitSettingError, match="runs on vllm"):
        model.engine()


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
def test_eight_pictures_get_eight_answers_each_its_own_in_as_many_crops_as_told(
    tmp_path: Path,
) -> None:
    model = Phi3VCaptioner(
        model_path=phi3v(tmp_path / "phi3v"),
        trust_remote_code=True,
        num_crops=2,
        device="cpu",
        temperature=0,
        repetition_penalty=1,
        max_tokens=8,
        max_num_seqs=4,
    )
    pictures = [tmp_path / f"{number}.png" for number in range(8)]
    crops = [1 + number % 2 for number in range(8)]  # and the whole
    for number, path in enumerate(pictures):
        scene = draw(SEEN[number], random.Random(number))
        scene.resize((64 * crops[number], 64)).save(path)
    both_ways = [*pictures, *reversed(pictures)]
    requests = [model.request(Given(at, at, image=str(path))) for at, path in enumerate(both_ways)]
    answered = answer_once(model.open(model.engine()), requests)
    answers = [answer for _, answer in sorted(answered.items()) if isinstance(answer, Answer)]
    forward, backward = answers[:8], answers[8:]
    assert backward == forward[::-1]
    assert len({answer.text for answer in forward}) == 8
    words = len(model.render())
    for answer, count in zip(forward, crops, strict=True):
        assert (count + 1) * 144 < answer.details["prompt_tokens"] < (count + 2) * 144 + words
