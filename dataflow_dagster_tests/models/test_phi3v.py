from pathlib import Path

import pytest
from PIL import Image

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.phi3v import Phi3VCaptioner
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
@pytest.mark.usefixtures("needs_vllm", "without_weights")
def test_each_picture_reaches_its_own_row_in_as_many_crops_as_told(
    tmp_path: Path,
) -> None:
    sizes = [(400, 200), (336, 336)]
    requests = []
    model = Phi3VCaptioner(
        model_path=phi3v(tmp_path / "phi3v"),
        trust_remote_code=True,
        num_crops=2,
        device="cpu",
        max_tokens=4,
        max_num_seqs=2,
    )
    for number, size in enumerate(sizes):
        path = tmp_path / f"{number}.png"
        Image.effect_noise(size, 90).convert("RGB").save(path)
        requests.append(model.request(Given(number, number, image=str(path))))
    answered = answer_once(model.open(model.engine()), requests)
    text = len(model.render())
    for number, (width, height) in enumerate(sizes):
        given = answered[number]
        assert isinstance(given, Answer)
        crops = 1 if width == height else 2  # and the whole
        assert (crops + 1) * 144 < given.details["prompt_tokens"] < (crops + 2) * 144 + text
