"""Pictures as cameras, scanners and the web leave them, through both engines."""

from collections.abc import Callable
from functools import cache

import pytest
from PIL import Image

from dataflow_dagster import registry
from dataflow_dagster_tests.models.conftest import Checkpoint
from dataflow_dagster_tests.models.test_answers import captions, texts
from dataflow_dagster_tests.pictures import natural

ARCHITECTURES = {
    "LLaVACaptioner": "llava",
    "LLaVANeXTCaptioner": "llava_next",
    "QwenVLCaptioner": "qwen2_vl",
}

Answered = Callable[[str, str], list[str | None]]
"""What a captioner says of all photographs, by one engine."""

TOKENS = 6
"""The panorama's seventh token in Qwen2-VL is a tie: the best two logits lie 0.0015 apart."""


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Unlike sizes, proportions, colours, depths and formats; one lies on its side."""
    folder = tmp_path_factory.mktemp("photographs")
    turned = Image.Exif()
    turned[0x0112] = 6
    sixteen = natural((201, 99), 3).convert("L").convert("I").point(lambda value: value * 257)
    natural((641, 479), 0).save(folder / "odd.jpg")
    natural((320, 200), 1).save(folder / "turned.jpg", exif=turned)
    natural((240, 180), 2).convert("CMYK").save(folder / "cmyk.jpg")
    sixteen.convert("I;16").save(folder / "sixteen.png")
    natural((150, 333), 4).convert("L").save(folder / "grey.jpg")
    natural((160, 120), 5).convert("P").save(folder / "palette.gif")
    clear = natural((128, 128), 6).convert("RGBA")
    clear.putalpha(natural((128, 128), 7).convert("L"))
    clear.save(folder / "clear.webp", lossless=True)
    natural((900, 60), 8).save(folder / "panorama.png")
    natural((7, 5), 9).save(folder / "stamp.bmp")
    natural((2000, 1500), 10).save(folder / "large.jpg", progressive=True)
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def answered(checkpoint: Checkpoint, photographs: list[str]) -> Answered:
    """Each engine is asked once."""
    return cache(lambda name, backend: asked(name, checkpoint, photographs, backend))


def asked(
    name: str, checkpoint: Checkpoint, photographs: list[str], backend: str
) -> list[str | None]:
    model = registry.find("ImageCaptioner", name).model_validate(
        {
            "model_path": checkpoint(ARCHITECTURES[name]),
            "backend": backend,
            "device": "cpu",
            "temperature": 0,
            "repetition_penalty": 1,
            "max_tokens": TOKENS,
            "max_model_len": 1024,
        }
    )
    return texts(captions(model, photographs))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_photograph_is_answered(
    name: str, answered: Answered, photographs: list[str]
) -> None:
    given = answered(name, "transformers")
    assert len(given) == len(photographs)
    assert all(given)


@pytest.mark.full
@pytest.mark.vllm
@pytest.mark.usefixtures("needs_vllm")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_both_engines_see_the_same_in_them(name: str, answered: Answered) -> None:
    assert answered(name, "vllm") == answered(name, "transformers")
