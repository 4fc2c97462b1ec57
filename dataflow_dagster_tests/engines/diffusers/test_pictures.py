import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dataflow_dagster.engines.diffusers.pictures import (
    DiffusersSession,
    DrawingSettings,
    open_session,
)
from dataflow_dagster.engines.replicas.session import Plan, Replicas
from dataflow_dagster.engines.session import Answer, Request
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.requests import (
    DIFFUSERS,
    FLUX,
    answer,
    answer_once,
    change_weights,
    drawing,
)
from dataflow_dagster_tests.processes import Children

RED = Request(0, 11, "a red circle on a blue background")
GREEN = Request(1, 12, "a green square on a white background")
WHITE = Request(2, 13, "a white triangle on a purple background")


def pixels(given: Answer | RowError) -> np.ndarray:
    assert isinstance(given, Answer)
    assert given.picture is not None
    return np.asarray(given.picture)


def fill_with_nan(tensor: Tensor) -> None:
    tensor.fill_(float("nan"))


@pytest.fixture(scope="module")
def session() -> Iterator[DiffusersSession]:
    session = open_session(DIFFUSERS, drawing())
    yield session
    session.close()


@pytest.fixture(scope="module")
def red(session: DiffusersSession) -> np.ndarray:
    return pixels(answer(session, [RED, GREEN, WHITE])[0])


def drawn_with(**changes: object) -> np.ndarray:
    return pixels(answer_once(open_session(DIFFUSERS, drawing(**changes)), [RED])[0])


def test_a_picture_is_rgb_of_the_size_asked_for(red: np.ndarray) -> None:
    assert red.shape == (64, 64, 3)
    assert red.dtype == np.uint8


@pytest.mark.parametrize(
    "batch",
    [[RED], [GREEN, RED], [WHITE, GREEN, RED], [GREEN, WHITE, GREEN, RED]],
    ids=["padded tail", "padded tail of two", "other place", "second batch"],
)
def test_a_picture_is_bit_identical_whatever_its_batch(
    session: DiffusersSession, red: np.ndarray, batch: list[Request]
) -> None:
    numbered = [request._replace(number=number) for number, request in enumerate(batch)]
    again = answer(session, numbered)[batch.index(RED)]
    assert (pixels(again) == red).all()


def open_with_threads(threads: int, settings: DrawingSettings) -> DiffusersSession:
    """As in the tests' process: sums split over another number of threads differ in their end."""
    torch.set_num_threads(threads)
    return open_session(DIFFUSERS, settings)


@pytest.mark.full
@pytest.mark.slow
def test_replicas_draw_the_pictures_of_one_session_to_the_bit(
    session: DiffusersSession, children: Children
) -> None:
    rows = [GREEN._replace(number=number, seed=number) for number in range(17)]
    alone = answer(session, rows)
    opening = partial(open_with_threads, torch.get_num_threads(), drawing())
    with closing(Replicas(opening, Plan(2), lambda _: None)) as replicas:
        answers = replicas.answers(iter(rows))
        shared = dict([next(answers)])
        assert len(children.running()) == 2
        shared |= dict(answers)
    assert shared.keys() == alone.keys()
    assert all((pixels(shared[row]) == pixels(alone[row])).all() for row in alone)


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_any_number_of_requests_is_answered_in_order(session: DiffusersSession, count: int) -> None:
    rows = [RED._replace(number=number) for number in range(count)]
    assert [number for number, _ in session.answers(iter(rows))] == list(range(count))


def test_equal_texts_with_unlike_seeds_give_unlike_pictures(session: DiffusersSession) -> None:
    answered = answer(session, [RED, RED._replace(number=1, seed=2**63 - 1)])
    assert (pixels(answered[0]) != pixels(answered[1])).any()


def test_the_seed_stands_beside_the_picture(session: DiffusersSession) -> None:
    (given,) = answer(session, [RED]).values()
    assert isinstance(given, Answer)
    assert given.details["seed"] == 11
    assert given.details["prompt_truncated"] is False


def test_a_text_that_is_cut_is_told_on_its_row(session: DiffusersSession) -> None:
    answered = answer(session, [RED, GREEN._replace(prompt="a red circle " * 30)])
    cut = answered[1]
    assert isinstance(cut, Answer)
    assert cut.details["prompt_truncated"] is True
    assert cut.details["prompt_tokens"] > 32


@pytest.mark.parametrize(
    "changes",
    [{"num_inference_steps": 3}, {"guidance_scale": 8.0}, {"max_sequence_length": 48}],
    ids=str,
)
def test_each_setting_changes_the_picture(red: np.ndarray, changes: dict[str, float]) -> None:
    assert (drawn_with(**changes) != red).any()


def test_height_and_width_are_the_pictures() -> None:
    assert drawn_with(height=48, width=80).shape == (48, 80, 3)


def test_bfloat16_is_what_the_weights_are_loaded_in(red: np.ndarray) -> None:
    session = open_session(replace(DIFFUSERS, precision="bfloat16"), drawing())
    assert (pixels(answer_once(session, [RED])[0]) != red).any()


def test_a_row_the_engine_cannot_take_costs_that_row(
    session: DiffusersSession, red: np.ndarray
) -> None:
    answered = answer(session, [RED, GREEN._replace(prompt="a \ud800 circle"), WHITE])
    refused = answered[1]
    assert isinstance(refused, RowError)
    assert refused.kind == "refused"
    assert (pixels(answered[0]) == red).all()
    assert isinstance(answered[2], Answer)


def test_weights_that_are_not_numbers_give_row_errors(tmp_path: Path) -> None:
    file, tensor = "transformer/diffusion_pytorch_model.safetensors", "proj_out.bias"
    broken = change_weights(FLUX, file, tensor, fill_with_nan, tmp_path / "nan")
    session = open_session(DIFFUSERS, drawing(model_path=broken))
    for given in answer_once(session, [RED, GREEN]).values():
        assert isinstance(given, RowError)
        assert given.kind == "not_finite"


def test_a_picture_of_one_colour_is_a_row_error(tmp_path: Path) -> None:
    file, tensor = "vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.weight"
    broken = change_weights(FLUX, file, tensor, Tensor.zero_, tmp_path / "flat")
    session = open_session(DIFFUSERS, drawing(model_path=broken))
    (given,) = answer_once(session, [RED]).values()
    assert isinstance(given, RowError)
    assert given.kind == "flat_picture"


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    answer_once(open_session(DIFFUSERS, drawing()), [RED, GREEN._replace(prompt="a red " * 600)])
    assert capfd.readouterr() == ("", "")


WITHOUT_TORCHVISION = """
import importlib.util, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: (
    None if name.startswith("torchvision") else find_spec(name, *more)
)
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("torchvision"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Gone())
from dataflow_dagster.engines.diffusers.pictures import open_session
from dataflow_dagster_tests.engines.requests import DIFFUSERS, drawing
open_session(DIFFUSERS, drawing()).close()
"""


@pytest.mark.full
def test_without_torchvision_a_pipeline_opens_without_a_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCHVISION], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "torchvision" not in done.stderr
