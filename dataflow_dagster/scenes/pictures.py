"""Draws the demo's pictures and the rows that name them."""

import json
import random
from pathlib import Path

from dataflow_dagster.scenes.drawing import SEEN, UNSEEN, Scene, draw

SEED = 20260
"""No training and no evaluation draws from it."""
SEEN_COUNT, UNSEEN_COUNT = 54, 10


def write_pictures(folder: Path) -> int:
    """Writes `images/scene-001.png` (64 x 64) and on, and `images.jsonl`; gives the row count.

    A row is `{"id", "image", "truth"}`: the picture's name in `images` and its true caption.
    """
    rng = random.Random(SEED)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = [
        _write_picture(folder, f"scene-{number:03}", scene, rng)
        for number, scene in enumerate(_choose_scenes(rng), start=1)
    ]
    (folder / "images.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return len(rows)


def _choose_scenes(rng: random.Random) -> list[Scene]:
    scenes = [*rng.sample(SEEN, SEEN_COUNT), *UNSEEN[:UNSEEN_COUNT]]
    rng.shuffle(scenes)
    return scenes


def _write_picture(folder: Path, name: str, scene: Scene, rng: random.Random) -> dict[str, str]:
    image = f"{name}.png"
    draw(scene, rng).save(folder / "images" / image, optimize=True)
    return {"id": name, "image": image, "truth": scene.caption}
