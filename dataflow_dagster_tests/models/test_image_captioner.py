from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from dataflow_dagster.engines.errors import UnfitSettingError
from dataflow_dagster.models.declaration import Given
from dataflow_dagster.models.llava import LLaVACaptioner
from dataflow_dagster.rows import RowError
from dataflow_dagster_tests.engines.requests import LLAVA, answer_once, picture


def test_braces_in_a_prompt_mean_nothing() -> None:
    prompt = "Answer as {json} with {{ keys }}, {p} and {0}"
    assert LLaVACaptioner(prompt=prompt).render() == f"USER: <image>\n{prompt}\nASSISTANT:"


def test_a_request_holds_the_picture_the_rendered_prompt_and_the_rows_seed(
    tmp_path: Path,
) -> None:
    Image.new("L", (8, 6), 7).save(tmp_path / "grey.png")
    request = LLaVACaptioner().request(Given(3, 5, image=str(tmp_path / "grey.png")))
    assert (request.number, request.seed) == (3, 5)
    assert request.prompt == "USER: <image>\nWhat is the content of this image?\nASSISTANT:"
    assert request.picture is not None
    assert (request.picture.mode, request.picture.size) == ("RGB", (8, 6))


def test_a_missing_picture_costs_one_row(tmp_path: Path) -> None:
    with pytest.raises(RowError) as refused:
        LLaVACaptioner().request(Given(0, 0, image=str(tmp_path / "none.png")))
    assert refused.value.kind == "missing_file"


@pytest.mark.parametrize("size", [(1, 201), (402, 2)])
def test_a_line_of_pixels_costs_one_row(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(tmp_path / "line.bmp")
    with pytest.raises(RowError, match="200 times") as refused:
        LLaVACaptioner().request(Given(0, 0, image=str(tmp_path / "line.bmp")))
    assert refused.value.kind == "picture_too_narrow"


def test_a_mistyped_model_path_is_told_when_it_is_opened() -> None:
    model = LLaVACaptioner(model_path="data/models/scenes_lava", device="cpu")
    with pytest.raises(UnfitSettingError, match="scenes_lava"):
        model.open(model.engine())


def test_a_row_without_a_picture_costs_one_row() -> None:
    with pytest.raises(RowError) as refused:
        LLaVACaptioner().request(Given(0, 0, text="only text"))
    assert refused.value.kind == "missing_image"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_p", 1.01),
        ("top_k", -2),
        ("repetition_penalty", 0),
        ("max_tokens", 0),
        ("max_model_len", 1),
        ("max_num_seqs", 0),
        ("batch_size", 0),
        ("tensor_parallel_size", 0),
        ("gpu_memory_utilization", 1.1),
        ("repeat_time", 0),
        ("dtype", "float64"),
        ("device", "tpu"),
        ("backend", "diffusers"),
        ("model_path", ""),
        ("prompt", None),
        ("max_tokens", "many"),
        ("trust_remote_code", "yes"),
        ("quantization", ""),
        ("limit_mm_per_prompt", {"image": 0}),
        ("limit_mm_per_prompt", {"video": -1}),
        ("mm_processor_kwargs", ["num_crops"]),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(key: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        LLaVACaptioner.model_validate({key: value})
    assert [error["loc"] for error in refused.value.errors()] == [(key,)]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prompt", "What colour is it?"),
        ("temperature", 0),
        ("top_p", 0.5),
        ("top_k", 5),
        ("repetition_penalty", 1),
        ("max_tokens", 16),
        ("max_model_len", 512),
        ("quantization", "fp8"),
        ("mm_processor_kwargs", {"size": {"shortest_edge": 224}}),
    ],
)
def test_what_changes_answers_changes_the_key(key: str, value: object) -> None:
    changed = LLaVACaptioner.model_validate({key: value})
    assert changed.key_settings() != LLaVACaptioner().key_settings()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", 4),
        ("max_num_seqs", 16),
        ("tensor_parallel_size", 2),
        ("gpu_memory_utilization", 0.5),
        ("limit_mm_per_prompt", {"image": 1}),
        ("repeat_time", 3),
        ("seed", 9),
    ],
)
def test_what_changes_no_answer_is_outside_the_key(key: str, value: object) -> None:
    changed = LLaVACaptioner.model_validate({key: value})
    assert changed.key_settings() == LLaVACaptioner().key_settings()


def test_the_key_holds_what_the_weights_are_not_where(tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(LLAVA)
    here = LLaVACaptioner(model_path=LLAVA).key_settings()
    assert LLaVACaptioner(model_path=str(moved)).key_settings() == here
    assert LLaVACaptioner().key_settings() != here


def test_every_key_of_the_config_reaches_the_engine() -> None:
    changes: dict[str, object] = {
        "model_path": "a/b",
        "trust_remote_code": True,
        "tensor_parallel_size": 2,
        "max_model_len": 512,
        "max_num_seqs": 3,
        "batch_size": 2,
        "gpu_memory_utilization": 0.5,
        "quantization": "fp8",
        "limit_mm_per_prompt": {"image": 1},
        "mm_processor_kwargs": {"num_crops": 4},
        "temperature": 0.1,
        "top_p": 0.2,
        "top_k": 3,
        "repetition_penalty": 1.5,
        "max_tokens": 7,
    }
    settings = LLaVACaptioner.model_validate(changes).settings(str(changes["model_path"]))
    reached = {key: getattr(settings, key, None) for key in changes} | {
        key: getattr(settings.sampling, key)
        for key in ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens")
    }
    assert reached == changes


def test_it_captions_a_picture_from_a_file(tmp_path: Path) -> None:
    picture(0).save(tmp_path / "scene.png")
    model = LLaVACaptioner(model_path=LLAVA, backend="transformers", device="cpu", temperature=0)
    engine = model.engine()
    request = model.request(Given(0, 0, image=str(tmp_path / "scene.png")))
    (given,) = answer_once(model.open(engine), [request]).values()
    assert not isinstance(given, RowError)
    assert str(given.text).startswith("a ")
    assert (engine.name, engine.precision, engine.device) == ("transformers", "float32", "cpu")
