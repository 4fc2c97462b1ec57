import time
from pathlib import Path

from PIL import Image

from dataflow_dagster.decoding.previews import MOST_LATE, Previews
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.processes import Children
from dataflow_dagster_tests.steps.sabotage import sabotage


def picture(path: Path) -> Image.Image:
    sabotage(path.name)
    if "bad" in path.name:
        raise RowError("corrupt_video", f"{path}: no clip")
    return Image.new("RGB", (4, 2), "red")


def shown(names: list[str], limit_s: float = 20) -> list[str]:
    with Previews(picture, limit_s) as previews:
        made = [previews.of(Path(name)) for name in names]
    return [one.kind if isinstance(one, RowError) else str(one.getpixel((0, 0))) for one in made]


def test_a_clip_that_is_bad_or_kills_its_decoder_costs_its_own_picture(children: Children) -> None:
    names = ["a.mp4", "bad.mp4", "crash.mp4", "b.mp4"]
    assert shown(names) == ["(255, 0, 0)", "corrupt_video", "decoder_crashed", "(255, 0, 0)"]
    assert children.running() == []


def test_after_some_clips_that_take_too_long_no_more_are_begun(children: Children) -> None:
    began = time.monotonic()
    assert shown(["deaf.mp4"] * 9, limit_s=0.5) == ["decoder_timeout"] * 9
    assert shown(["deaf.mp4"] * (MOST_LATE - 1) + ["a.mp4"], 0.5)[-1] == "(255, 0, 0)"
    assert time.monotonic() - began < 60
    assert children.running() == []


def test_without_a_clip_no_process_is_begun(children: Children) -> None:
    with Previews(picture) as previews:
        assert children.running() == []
        previews.of(Path("a.mp4"))
        assert len(children.running()) == 1
    assert children.running() == []
