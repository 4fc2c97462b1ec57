import pytest
from pydantic import ValidationError

from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.flux import FLUXGenerator
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.requests import FLUX, answer_once


def test_the_text_is_drawn_as_it_is() -> None:
    text = "  a {red} circle\n"
    assert FLUXGenerator().request(Given(1, 2, text=text)).prompt == text


@pytest.mark.parametrize("text", ["", " \n\t", None])
def test_an_empty_text_costs_one_row(text: str | None) -> None:
    with pytest.raises(RowError) as refused:
        FLUXGenerator().request(Given(0, 0, text=text))
    assert refused.value.kind == "empty_text"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_inference_steps", 0),
        ("batch_size", 0),
        ("max_sequence_length", 513),
        ("guidance_scale", -1),
        ("guidance_scale", float("inf")),
        ("height", 0),
        ("width", 64.0),
        ("device", "tpu"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        FLUXGenerator.model_validate({key: value})
    assert [error["loc"] for error in refused.value.errors()] == [(key,)]


@pytest.mark.parametrize("key", ["height", "width"])
def test_a_size_that_flux_would_shrink_is_refused_with_the_nearest_ones(key: str) -> None:
    with pytest.raises(
        ValidationError, match=f"{key} must be a multiple of 16, not 1000; try 992 or 1008"
    ):
        FLUXGenerator.model_validate({key: 1000})


def test_an_old_spelling_names_the_width() -> None:
    assert FLUXGenerator.old_keys == {"weight": "width"}


def test_what_changes_pictures_is_in_the_key_and_the_rest_is_not() -> None:
    plain = FLUXGenerator().key_settings()
    for key, value in {
        "height": 512,
        "width": 512,
        "guidance_scale": 1,
        "num_inference_steps": 4,
        "max_sequence_length": 64,
    }.items():
        assert FLUXGenerator.model_validate({key: value}).key_settings() != plain
    for key, value in {"batch_size": 4, "repeat_time": 2, "seed": 1}.items():
        assert FLUXGenerator.model_validate({key: value}).key_settings() == plain


def test_every_key_of_the_config_reaches_the_engine() -> None:
    changes: dict[str, object] = {
        "model_path": "a/b",
        "height": 32,
        "width": 48,
        "guidance_scale": 1.5,
        "num_inference_steps": 3,
        "max_sequence_length": 64,
        "batch_size": 2,
    }
    settings = FLUXGenerator.model_validate(changes)._settings()  # noqa: SLF001  # what `open` hands over
    reached = {"model_path": settings.model_path, "batch_size": settings.batch_size}
    assert {**settings.call, **reached} == {**changes, "true_cfg_scale": 1}


def test_it_draws_a_text() -> None:
    model = FLUXGenerator(model_path=FLUX, height=64, width=64, num_inference_steps=2, device="cpu")
    request = model.request(Given(0, 0, text="a red circle on a blue background"))
    (given,) = answer_once(model.open(model.engine()), [request]).values()
    assert not isinstance(given, RowError)
    assert given.picture is not None
    assert given.picture.size == (64, 64)
