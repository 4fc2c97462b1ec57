import random
from collections import Counter

import numpy as np
import pytest

from dataflow_dagster.scenes.drawing import PALETTE, UNSEEN
from dataflow_dagster.scenes.moving import (
    MOVES,
    MOVING,
    SEEN_MOVING,
    UNSEEN_MOVING,
    MovingScene,
    choose_path,
    draw_frames,
)


def test_every_scene_moves_every_way_and_some_scenes_are_kept_out() -> None:
    assert len({moving.caption for moving in MOVING}) == len(MOVING) == 360
    assert Counter(moving.move for moving in MOVING) == dict.fromkeys(MOVES, 90)
    assert {moving.scene for moving in UNSEEN_MOVING} == set(UNSEEN)
    assert (len(SEEN_MOVING), len(UNSEEN_MOVING)) == (320, 40)


def centre(frame: np.ndarray, moving: MovingScene) -> tuple[float, float]:
    """Of the shape's pixels, (x, y)."""
    shown = (frame == PALETTE[moving.scene.colour]).all(-1)
    y, x = np.nonzero(shown)
    return float(x.mean()), float(y.mean())


@pytest.mark.parametrize("move", MOVES)
def test_a_shape_moves_as_its_caption_says(move: str) -> None:
    rng = random.Random(1)
    for moving in [one for one in MOVING if one.move == move][::9]:
        first, *_, last = (np.asarray(frame) for frame in draw_frames(moving, rng, 5))
        (x, y), (to_x, to_y) = centre(first, moving), centre(last, moving)
        far = (to_x - x) * MOVES[move][0] + (to_y - y) * MOVES[move][1]
        aside = abs((to_x - x) * MOVES[move][1]) + abs((to_y - y) * MOVES[move][0])
        assert far > 12
        assert aside < 1.5
        assert moving.caption.split(" moving ")[1].startswith(f"{move} on a ")


def test_a_path_lies_within_the_picture() -> None:
    rng = random.Random(2)
    for move in [*MOVES] * 50:
        path = choose_path(move, rng)
        for gone in (0.0, 1.0):
            assert all(0.15 < side < 0.85 for side in path.centre(gone))


def test_a_clip_of_one_frame_is_where_it_begins() -> None:
    moving = MOVING[0]
    (only,), (first, _) = (draw_frames(moving, random.Random(3), count) for count in (1, 2))
    assert np.array_equal(np.asarray(only), np.asarray(first))
