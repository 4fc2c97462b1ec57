"""Each generator on a tiny checkpoint of its architecture."""

import numpy as np
import pytest

from dataflow_dagster import registry
from dataflow_dagster.engines.errors import EngineMissingError, UnfitSettingError
from dataflow_dagster.engines.session import Answer, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster_tests.engines.requests import answer, answer_once
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.models.models_table import MODELS, ModelRow
from dataflow_dagster_tests.requirements import require

GENERATORS = [row for row in MODELS if row.checkpoint and row.writes == "image"]
every_generator = pytest.mark.parametrize("row", GENERATORS, ids=lambda row: row.name)
FLUX, SD3, ANY = GENERATORS
RED, GREEN, WHITE = (
    "a red circle on a blue background",
    "a green square on a white background",
    "a white triangle on a purple background",
)
SMALL = {"height": 64, "width": 64, "num_inference_steps": 3, "device": "cpu"}


def model(row: ModelRow, checkpoint: Checkpoint, **config: object) -> Model:
    given = {"model_path": checkpoint(row.checkpoint), **SMALL, **config}
    return registry.find(row.step_type, row.name).model_validate(given)


def drawn(drawer: Model, session: Session, texts: list[str]) -> list[np.ndarray]:
    """The pictures of `texts`, whose seeds come from the texts alone."""
    requests = [drawer.request(Given(at, len(text), text)) for at, text in enumerate(texts)]
    answered = answer(session, requests)
    pictures = [given.picture for _, given in sorted(answered.items()) if isinstance(given, Answer)]
    return [np.asarray(picture) for picture in pictures]


def drawn_once(drawer: Model, texts: list[str]) -> list[np.ndarray]:
    session = drawer.open(drawer.engine())
    try:
        return drawn(drawer, session, texts)
    finally:
        session.close()


@every_generator
def test_a_picture_is_bit_identical_whatever_its_batch(
    row: ModelRow, checkpoint: Checkpoint
) -> None:
    drawer = model(row, checkpoint, batch_size=3)
    session = drawer.open(drawer.engine())
    red, green, white = drawn(drawer, session, [RED, GREEN, WHITE])
    assert red.shape == (64, 64, 3)
    assert (red != green).any()
    assert (green != white).any()
    (alone,) = drawn(drawer, session, [RED])
    *_, other_place = drawn(drawer, session, [WHITE, WHITE, RED])
    *_, tail = drawn(drawer, session, [GREEN, WHITE, GREEN, WHITE, RED])
    session.close()
    for again in (alone, other_place, tail, *drawn_once(drawer, [RED])):
        assert (again == red).all()


@pytest.mark.parametrize(
    ("row", "beside"),
    [(FLUX, {"true_cfg_scale": 3}), (SD3, {}), (ANY, {})],
    ids=["FLUX", "SD3", "any"],
)
def test_a_negative_prompt_changes_the_picture(
    row: ModelRow, beside: dict[str, object], checkpoint: Checkpoint
) -> None:
    (plain,) = drawn_once(model(row, checkpoint), [RED])
    without = model(row, checkpoint, negative_prompt=GREEN, batch_size=2, **beside)
    assert (drawn_once(without, [RED])[0] != plain).any()


@pytest.mark.parametrize(
    ("row", "config"),
    [
        (FLUX, {"negative_prompt": "a"}),
        (FLUX, {"true_cfg_scale": 2}),
        (SD3, {"negative_prompt": "a", "guidance_scale": 1}),
    ],
    ids=str,
)
def test_a_negative_prompt_without_effect_is_refused(
    row: ModelRow, config: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="negative_prompt"):
        registry.find(row.step_type, row.name).model_validate(config)


def test_a_negative_prompt_that_any_pipeline_would_ignore_is_refused(
    checkpoint: Checkpoint,
) -> None:
    drawer = model(ANY, checkpoint, model_path=checkpoint("flux"), negative_prompt="a")
    with pytest.raises(UnfitSettingError, match="FluxPipeline heeds it only with true_cfg_scale"):
        drawer.open(drawer.engine())


def test_a_text_cut_at_the_pipelines_own_length_is_told(checkpoint: Checkpoint) -> None:
    drawer = model(ANY, checkpoint, num_inference_steps=1)
    requests = [drawer.request(Given(0, 0, RED)), drawer.request(Given(1, 0, "a red " * 150))]
    short, long = answer_once(drawer.open(drawer.engine()), requests).values()
    assert isinstance(short, Answer)
    assert isinstance(long, Answer)
    assert (short.details["prompt_truncated"], long.details["prompt_truncated"]) == (False, True)
    assert 256 < long.details["prompt_tokens"] < 512


def test_an_old_name_means_stable_diffusion_3() -> None:
    assert registry.find("ImageGenerator", "StableDiffusion3Generator").__name__ == SD3.name


def test_settings_left_out_are_the_pipelines_own(checkpoint: Checkpoint) -> None:
    drawer = model(ANY, checkpoint, guidance_scale=None)
    own = model(SD3, checkpoint, guidance_scale=7, max_sequence_length=256)
    assert (drawn_once(drawer, [RED])[0] == drawn_once(own, [RED])[0]).all()


def test_a_pipelines_own_argument_reaches_it(checkpoint: Checkpoint) -> None:
    (plain,) = drawn_once(model(ANY, checkpoint), [RED])
    skipping = model(ANY, checkpoint, pipeline_kwargs={"clip_skip": 1})
    assert (drawn_once(skipping, [RED])[0] != plain).any()


def test_an_argument_the_pipeline_does_not_take_is_refused_when_it_is_opened(
    checkpoint: Checkpoint,
) -> None:
    drawer = model(ANY, checkpoint, pipeline_kwargs={"clip_skipp": 1})
    with pytest.raises(UnfitSettingError, match="StableDiffusion3Pipeline takes no such"):
        drawer.open(drawer.engine())


@pytest.mark.parametrize("taken", ["generator", "height"])
def test_an_argument_that_has_its_own_place_is_refused(taken: str) -> None:
    with pytest.raises(ValueError, match=taken):
        registry.find(ANY.step_type, ANY.name).model_validate(
            {"model_path": "a/b", "pipeline_kwargs": {taken: 1}}
        )


def test_a_cached_picture_differs_and_does_not_depend_on_the_row_before(
    checkpoint: Checkpoint,
) -> None:
    steps = {"num_inference_steps": 6}
    (plain,) = drawn_once(model(FLUX, checkpoint, **steps), [RED])
    cached = model(FLUX, checkpoint, cache=0.9, **steps)
    first, _, again = drawn_once(cached, [RED, GREEN, RED])
    assert (first != plain).any()
    assert (first == again).all()


def test_a_cache_is_refused_where_rows_would_share_it() -> None:
    with pytest.raises(ValueError, match="batch_size: 1, not 2"):
        registry.find(FLUX.step_type, FLUX.name).model_validate({"cache": 0.1, "batch_size": 2})


def test_a_cache_is_refused_where_the_model_has_none(checkpoint: Checkpoint) -> None:
    drawer = model(SD3, checkpoint, cache=0.1)
    with pytest.raises(UnfitSettingError, match=r"'cache'.*SD3Transformer2DModel has no"):
        drawer.open(drawer.engine())


def test_tiles_are_decoded_one_by_one(checkpoint: Checkpoint) -> None:
    wide = {"height": 256, "width": 512, "num_inference_steps": 1}
    (plain,) = drawn_once(model(FLUX, checkpoint, **wide), [RED])
    (tiled,) = drawn_once(model(FLUX, checkpoint, vae_tiling=True, **wide), [RED])
    assert tiled.shape == plain.shape
    assert (tiled != plain).any()


def test_offloading_without_a_gpu_is_refused(checkpoint: Checkpoint) -> None:
    drawer = model(FLUX, checkpoint, cpu_offload=True)
    with pytest.raises(UnfitSettingError, match="cpu_offload"):
        drawer.open(drawer.engine())


def test_quantization_without_its_library_tells_what_to_install(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflow_dagster.engines.diffusers.speed.find_spec", lambda name: None)
    drawer = model(FLUX, checkpoint, quantization="int8")
    with pytest.raises(EngineMissingError, match="pip install optimum-quanto"):
        drawer.open(drawer.engine())


@pytest.mark.filterwarnings("ignore:.*Quanto:FutureWarning")
def test_quantized_weights_draw_nearly_the_same(checkpoint: Checkpoint) -> None:
    require("optimum.quanto", "optimum-quanto is not installed")
    (plain,) = drawn_once(model(FLUX, checkpoint), [RED])
    (quantized,) = drawn_once(model(FLUX, checkpoint, quantization="int8"), [RED])
    assert 0 < abs(quantized.astype(int) - plain.astype(int)).mean() < 1


@pytest.mark.parametrize(
    ("key", "value", "decides"),
    [
        ("compile", True, True),
        ("vae_tiling", True, True),
        ("cache", 0.1, True),
        ("quantization", "int8", True),
        ("cpu_offload", True, False),
    ],
)
def test_what_changes_pixels_is_in_the_key(key: str, value: object, decides: bool) -> None:
    plain, changed = (
        registry.find(SD3.step_type, SD3.name).model_validate(config).key_settings()
        for config in ({}, {key: value})
    )
    assert (plain != changed) == decides


@pytest.mark.full
@pytest.mark.slow
def test_a_compiled_model_draws_nearly_the_same(checkpoint: Checkpoint) -> None:
    drawer = model(FLUX, checkpoint, compile=True)
    request = drawer.request(Given(0, len(RED), RED))
    (given,) = answer_once(drawer.open(drawer.engine()), [request]).values()
    assert isinstance(given, Answer)
    (plain,) = drawn_once(model(FLUX, checkpoint), [RED])
    difference = np.asarray(given.picture).astype(int) - plain.astype(int)
    assert abs(difference).max() <= 2
