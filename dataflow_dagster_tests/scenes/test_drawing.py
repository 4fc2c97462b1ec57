import random

import pytest

from dataflow_dagster.scenes.drawing import (
    PALETTE,
    SCENES,
    SEEN,
    SHAPES,
    UNSEEN,
    Scene,
    draw,
    parse_caption,
)


def test_ninety_scenes_are_split_into_eighty_seen_and_ten_unseen() -> None:
    assert (len(SEEN), len(UNSEEN)) == (80, 10)
    assert {*SEEN, *UNSEEN} == set(SCENES)
    assert len(set(SCENES)) == 90


def test_every_shape_and_colour_is_well_represented_among_the_seen() -> None:
    for shape in SHAPES:
        assert sum(scene.shape == shape for scene in SEEN) >= 24
    for colour in PALETTE:
        assert sum(scene.colour == colour for scene in SEEN) >= 11
        assert sum(scene.background == colour for scene in SEEN) >= 11


def test_a_caption_is_parsed_back_into_its_scene() -> None:
    assert [parse_caption(scene.caption) for scene in SCENES] == list(SCENES)
    assert parse_caption(" a red circle on a blue background\n") == Scene("circle", "red", "blue")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A red circle on a blue background",
        "a red circle on a blue background.",
        "a red circle on a red background",
        "a pink circle on a blue background",
        "a red star on a blue background",
        "a red circle on a blue background a red circle on a blue background",
    ],
)
def test_any_other_text_is_no_scene(text: str) -> None:
    assert parse_caption(text) is None


def test_the_same_seed_draws_the_same_picture() -> None:
    first, second, other = (draw(SCENES[0], random.Random(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == second.tobytes() != other.tobytes()


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("size", [1, 48, 64, 160])
def test_a_picture_is_rgb_of_the_size_asked_for(size: int, smooth: bool) -> None:
    picture = draw(SCENES[0], random.Random(0), size, smooth=smooth)
    assert (picture.mode, picture.size) == ("RGB", (size, size))


def test_pictures_without_smooth_edges_hold_two_colours_only() -> None:
    picture = draw(Scene("circle", "red", "blue"), random.Random(0), smooth=False)
    colours = picture.getcolors()
    assert colours is not None
    assert {colour for _, colour in colours} == {PALETTE["red"], PALETTE["blue"]}
