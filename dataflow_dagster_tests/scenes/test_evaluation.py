from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the scene models run in transformers and diffusers")
pytest.importorskip("diffusers", reason="the scene models run in transformers and diffusers")

from dataflow_dagster.scenes.evaluation import Figure, measure_round_trip

MODELS = Path(__file__).parents[2] / "data/models"


def test_a_figure_tells_counts_and_shares() -> None:
    figure = Figure("captions", seen=(79, 80), unseen=(9, 10))
    assert str(figure) == "captions: seen 79/80 (98.8%), unseen 9/10 (90.0%)"


@pytest.mark.full
def test_a_caption_that_is_drawn_is_read_back() -> None:
    (figure,) = measure_round_trip(MODELS / "scenes_llava", MODELS / "scenes_flux", rounds=(0, 2))
    assert figure.seen == (0, 0)
    assert figure.unseen[1] == 20
    assert figure.unseen[0] >= 18
