from dataclasses import replace
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
def test_it_runs_in_vllm_with_as_many_crops_as_it_is_told(tmp_path: Path) -> None:
    Image.effect_noise((400, 200), 90).convert("RGB").save(tmp_path / "wide.png")
    model = Phi3VCaptioner(
        model_path=phi3v(tmp_path / "phi3v"),
        trust_remote_code=True,
        num_crops=2,
        device="cpu",
        max_tokens=4,
        max_num_seqs=2,
    )
    request = model.request(Given(0, 0, image=str(tmp_path / "wide.png")))
    rows = [request, replace(request, number=1)]
    answered = answer_once(model.open(model.engine()), rows)
    for given in answered.values():
        assert isinstance(given, Answer)
        assert given.details["prompt_tokens"] > 3 * 144  # two crops and the whole
        assert given.details["prompt_tokens"] < 4 * 144 + len(model.render())
