import json
from pathlib import Path

from PIL import Image

from dataflow_dagster.scenes.drawing import SCENES, UNSEEN
from dataflow_dagster.scenes.judging import judge
from dataflow_dagster.scenes.pictures import write_pictures

DATA = Path(__file__).parents[2] / "data"
DEMO = DATA / "demo"


def read_rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]


def test_the_demo_shows_what_its_truth_says() -> None:
    captions = {scene.caption: scene for scene in SCENES}
    for row in read_rows(DEMO):
        with Image.open(DEMO / "images" / row["image"]) as picture:
            assert picture.size == (64, 64)
            assert judge(picture) == captions[row["truth"]]


def test_the_demo_has_sixty_rows_ten_of_them_unseen() -> None:
    rows = read_rows(DEMO)
    assert len(rows) >= 60
    assert len({row["id"] for row in rows}) == len(rows)
    unseen = {scene.caption for scene in UNSEEN}
    assert sum(row["truth"] in unseen for row in rows) >= 10


def test_the_demo_is_small() -> None:
    assert sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file()) < 200_000


def test_the_script_writes_the_rows_that_ship(tmp_path: Path) -> None:
    assert write_pictures(tmp_path) == len(read_rows(DEMO))
    assert (tmp_path / "images.jsonl").read_bytes() == (DEMO / "images.jsonl").read_bytes()
