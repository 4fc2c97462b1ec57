"""Each video generator on a tiny checkpoint of its pipeline."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLAllegro
from PIL import Image

from dataflow_dagster import registry
from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.engines.session import Answer, Session
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.requests import answer
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.models.models_table import ModelRow
from dataflow_dagster_tests.models.video_table import GENERATORS

every_generator = pytest.mark.parametrize("row", GENERATORS, ids=lambda row: row.name)
SMALL = {"height": 64, "width": 64, "num_inference_steps": 2, "num_frames": 8, "device": "cpu"}
RED, BLUE = "a red circle", "a blue square"
ANY, ANY_I2V = (row for row in GENERATORS if row.model_path is None)

ALONE = frozenset({"allegro", "i2vgen_xl"})
"""Checkpoints of models that make one clip at a time, whatever `batch_size` says."""

Made = dict[int, tuple[np.ndarray, dict[str, Any]]]
Plain = Callable[[ModelRow], np.ndarray]


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    folder = tmp_path_factory.mktemp("first frames")

    def draw(colour: str) -> str:
        path = folder / f"{colour}.png"
        image = Image.new("RGB", (96, 64), colour)
        image.paste("white", (0, 0, 40, 20))
        image.save(path)
        return str(path)

    return draw


def generator(row: ModelRow, checkpoint: Checkpoint, **config: object) -> Model:
    given: dict[str, object] = {"model_path": checkpoint(row.checkpoint), **SMALL}
    if row.name == "AnimateDiffGenerator":
        given["motion_adapter"] = checkpoint("motion_adapter")
    return registry.find(row.step_type, row.name).model_validate({**given, **config})


def row_of(name: str) -> ModelRow:
    (row,) = (row for row in GENERATORS if row.name == name)
    return row


def given_to(row: ModelRow, number: int, text: str, picture: Callable[[str], str]) -> Given:
    image = picture(text.split()[1]) if row.reads == "image" else None
    return Given(number, len(text), text=text, image=image)


def make(model: Model, session: Session, rows: list[Given]) -> Made:
    answered = answer(session, [model.request(given) for given in rows])
    made: Made = {}
    for number, found in answered.items():
        assert isinstance(found, Answer), found
        assert found.clip is not None
        made[number] = (found.clip.pixels, dict(found.details))
    return made


def make_once(model: Model, rows: list[Given]) -> Made:
    session = model.open(model.engine())
    try:
        return make(model, session, rows)
    finally:
        session.close()


@pytest.fixture(scope="module")
def plain(checkpoint: Checkpoint, picture: Callable[[str], str]) -> Plain:
    """The clip of a red circle by a generator without further keys, made once."""

    @cache
    def make_plain(name: str) -> np.ndarray:
        row = row_of(name)
        return make_once(generator(row, checkpoint), [given_to(row, 0, RED, picture)])[0][0]

    return lambda row: make_plain(row.name)


@every_generator
def test_a_clip_depends_on_its_own_row_and_seed_alone(
    row: ModelRow, checkpoint: Checkpoint, picture: Callable[[str], str], plain: Plain
) -> None:
    model = generator(row, checkpoint, batch_size=2)
    red, blue = (given_to(row, at, text, picture) for at, text in enumerate((RED, BLUE)))
    session = model.open(model.engine())
    both = make(model, session, [red, blue])
    reseeded = make(model, session, [red._replace(seed=7)])
    session.close()
    pixels, details = both[0]
    frames = {"wan": 9, "ltx": 5, "ltx_i2v": 5}.get(row.checkpoint, 8)
    assert pixels.shape == (frames, 64, 64, 3)
    assert (details["frames"], details.get("frames_asked", 8)) == (frames, 8)
    assert (details["width"], details["height"], details["seed"]) == (64, 64, len(RED))
    assert (both[1][0] != pixels).any()
    assert (reseeded[0][0] != pixels).any()
    again = make_once(model, [red])[0][0] if row.checkpoint not in ALONE else plain(row)
    assert (again == pixels).all()


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("CogVideoXT2VGenerator", {"guidance_scale": 1.5}),
        ("CogVideoXT2VGenerator", {"negative_prompt": BLUE}),
        ("SVDGenerator", {"fps": 20}),
        ("SVDGenerator", {"guidance_scale": 1.5}),
        ("SVDGenerator", {"motion_bucket_id": 20}),
        ("SVDGenerator", {"noise_aug_strength": 0.5}),
        ("SVDGenerator", {"decode_chunk_size": 3}),
        ("I2VGenXLGenerator", {"fps": 2}),
        ("AnimateDiffGenerator", {"negative_prompt": BLUE}),
        ("AnimateDiffGenerator", {"motion_adapter": "other_motion_adapter"}),
        ("AllegroGenerator", {"guidance_scale": 1.5}),
        ("AllegroGenerator", {"max_sequence_length": 4}),
    ],
    ids=str,
)
def test_a_key_reaches_the_pipeline(
    name: str,
    config: dict[str, Any],
    checkpoint: Checkpoint,
    picture: Callable[[str], str],
    plain: Plain,
) -> None:
    row = row_of(name)
    if "motion_adapter" in config:
        config = {"motion_adapter": checkpoint(config["motion_adapter"])}
    red = given_to(row, 0, RED, picture)
    assert (make_once(generator(row, checkpoint, **config), [red])[0][0] != plain(row)).any()


@pytest.mark.parametrize("name", ["SVDGenerator", "I2VGenXLGenerator", "AnimateDiffGenerator"])
def test_so_many_frames_are_decoded_together(
    name: str, checkpoint: Checkpoint, picture: Callable[[str], str]
) -> None:
    row = row_of(name)
    model = generator(row, checkpoint, decode_chunk_size=3)
    session: Any = model.open(model.engine())
    vae, together = session._pipeline.vae, list[int]()  # noqa: SLF001  # as it decodes itself
    decode = vae.decode

    # The pipeline looks at which parameters decode has.
    def decoded(z: Any, num_frames: Any = None, *, return_dict: bool = True) -> Any:
        together.append(len(z))
        told = {} if num_frames is None else {"num_frames": num_frames}
        return decode(z, return_dict=return_dict, **told)

    vae.decode = decoded
    make(model, session, [given_to(row, 0, RED, picture)])
    session.close()
    assert together == [3, 3, 2]


@pytest.mark.parametrize("name", ["I2VGenXLGenerator", "CogVideoXGenerator"])
def test_a_picture_without_a_text_moves_as_the_prompt_says(
    name: str, checkpoint: Checkpoint, picture: Callable[[str], str], plain: Plain
) -> None:
    row = row_of(name)
    red = given_to(row, 0, RED, picture)
    silent = red._replace(text=None)
    model = generator(row, checkpoint, prompt=RED)
    made = make_once(model, [silent, red._replace(number=1, text=BLUE)])
    assert (made[0][0] == plain(row)).all()
    assert (made[1][0] != plain(row)).any()  # a text of the row's own wins
    assert (make_once(generator(row, checkpoint), [silent])[0][0] != plain(row)).any()


def test_an_empty_negative_prompt_is_none(
    checkpoint: Checkpoint, picture: Callable[[str], str], plain: Plain
) -> None:
    row = row_of("AllegroGenerator")
    red = given_to(row, 0, RED, picture)
    empty = make_once(generator(row, checkpoint, negative_prompt=""), [red])[0][0]
    assert (plain(row) == empty).all()


def test_another_adapter_is_another_key(checkpoint: Checkpoint) -> None:
    row = row_of("AnimateDiffGenerator")
    keys = [
        generator(row, checkpoint, motion_adapter=adapter).key_settings()
        for adapter in (checkpoint("motion_adapter"), checkpoint("other_motion_adapter"), None)
    ]
    assert len({key["adapter_revision"] for key in keys}) == 3


def test_allegro_leaves_no_part_of_a_clip_grey(
    checkpoint: Checkpoint, picture: Callable[[str], str]
) -> None:
    row = row_of("AllegroGenerator")
    model = generator(row, checkpoint, width=96, num_frames=16)
    pixels, _ = make_once(model, [given_to(row, 0, RED, picture)])[0]
    assert pixels.std(axis=(1, 2)).min() > 0
    assert pixels[:, -8:].std() > 0
    assert pixels[:, :, -8:].std() > 0


def test_allegros_vae_is_loaded_from_its_subfolder(
    checkpoint: Checkpoint, picture: Callable[[str], str], plain: Plain, tmp_path: Path
) -> None:
    row = row_of("AllegroGenerator")
    moved = Path(shutil.copytree(checkpoint(row.checkpoint), tmp_path / "allegro"))
    vae = AutoencoderKLAllegro.from_pretrained(moved / "vae")
    with torch.no_grad():
        vae.decoder.conv_out.bias += 0.2
    vae.save_pretrained(moved / "lighter")
    red = given_to(row, 0, RED, picture)
    model = generator(row, checkpoint, model_path=str(moved), subfolder="lighter")
    assert make_once(model, [red])[0][0].mean() > plain(row).mean() + 10


def test_a_variant_that_is_not_there_is_told(checkpoint: Checkpoint) -> None:
    row = row_of("ModelScopeT2VGenerator")
    model = generator(row, checkpoint, variant="bf8")
    with pytest.raises(UnfitSettingError, match="variant: null"):
        model.open(model.engine())


def test_a_pipeline_that_begins_with_a_picture_is_told_to_be_none_of_texts(
    checkpoint: Checkpoint,
) -> None:
    model = generator(ANY, checkpoint, model_path=checkpoint("cogvideox_i2v"))
    with pytest.raises(UnfitSettingError, match="begins with a picture"):
        model.open(model.engine())


def test_a_setting_that_a_pipeline_does_not_take_is_told(checkpoint: Checkpoint) -> None:
    model = generator(ANY, checkpoint, pipeline_kwargs={"motion_bucket_id": 3})
    with pytest.raises(UnfitSettingError, match="motion_bucket_id"):
        model.open(model.engine())


def test_the_middle_of_a_picture_is_moved_without_distortion(
    checkpoint: Checkpoint, picture: Callable[[str], str]
) -> None:
    request = generator(ANY_I2V, checkpoint).request(Given(0, 0, image=picture("red")))
    assert request.picture is not None
    assert request.picture.size == (64, 64)
    assert request.prompt == ""
    assert request.picture.getpixel((20, 10)) == (255, 255, 255)
    assert request.picture.getpixel((40, 10)) == (255, 0, 0)


def test_a_row_without_a_picture_costs_one_row(checkpoint: Checkpoint, tmp_path: Path) -> None:
    model = generator(ANY_I2V, checkpoint)
    for image, kind in ((None, "missing_image"), (str(tmp_path / "none.png"), "missing_file")):
        with pytest.raises(RowError) as refused:
            model.request(Given(0, 0, text=RED, image=image))
        assert refused.value.kind == kind
