"""Draws clips of moving scenes and the rows that name them."""

import json
import random
from pathlib import Path

from dataflow_dagster.media.clips import Clip, write_clip
from dataflow_dagster.scenes.moving import SEEN_MOVING, MovingScene, draw_frames

SEED = 20261
"""No training and no evaluation draws from it."""
COUNT = 24
FRAMES, FPS = 22, 11
"""Of which four, or eight, are at equal steps, as in training, with the first and the last."""


def write_clips(folder: Path) -> int:
    """Writes `clips/scene-001.mp4` (64 x 64, 2 s) and on, and `clips.jsonl`; gives the row count.

    A row is `{"id", "video", "truth"}`: the clip's path below `folder` and its true caption.
    """
    rng = random.Random(SEED)
    rows: list[dict[str, str]] = []
    for number, moving in enumerate(rng.sample(SEEN_MOVING, COUNT), start=1):
        name = f"scene-{number:03}"
        write_moving(moving, rng, folder / f"clips/{name}.mp4")
        rows.append({"id": name, "video": f"clips/{name}.mp4", "truth": moving.caption})
    (folder / "clips.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return len(rows)


def write_moving(moving: MovingScene, rng: random.Random, path: Path, size: int = 64) -> Path:
    """A clip as the ending of `path` says: two seconds, along a path `rng` chooses."""
    import numpy as np

    frames = draw_frames(moving, rng, FRAMES, size)
    write_clip(Clip(np.stack([np.asarray(frame) for frame in frames]), FPS), path)
    return path
