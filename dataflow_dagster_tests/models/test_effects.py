"""Every key of every model's ``config`` has an effect: shown here, or in the test named here."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataflow_dagster import registry
from dataflow_dagster.engines.session import Answer
from dataflow_dagster.models.any_diffusion import DiffusersGenerator
from dataflow_dagster.models.declaration import Given, Model
from dataflow_dagster.models.diffusion import DiffusionModel
from dataflow_dagster.models.flux import FLUXGenerator
from dataflow_dagster.models.llava import LLaVACaptioner
from dataflow_dagster_tests.engines.requests import FLUX, answer_once, make_babbler, picture
from dataflow_dagster_tests.models.models_table import MODELS, ModelRow
from dataflow_dagster_tests.models.served_table import SERVED_MODELS

TESTS = Path(__file__).parents[1]

CAPTIONS: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": 1.5},
    "top_p": {"temperature": 1.5, "top_p": 0.05},
    "top_k": {"temperature": 1.5, "top_k": 2},
    "repetition_penalty": {"repetition_penalty": 1.8},
    "max_tokens": {"max_tokens": 3},
    "prompt": {"prompt": "What colour is it?"},
    "mm_processor_kwargs": {"mm_processor_kwargs": {"do_normalize": False}},
}
"""Key of a captioner → a config whose answers differ from those of the same without the key."""

DRAWINGS: dict[str, dict[str, Any]] = {
    "height": {"height": 80},
    "width": {"width": 48},
    "guidance_scale": {"guidance_scale": 1},
    "num_inference_steps": {"num_inference_steps": 3},
    "max_sequence_length": {"max_sequence_length": 48},
    "true_cfg_scale": {"true_cfg_scale": 4, "negative_prompt": "blue"},
    "dtype": {"dtype": "bfloat16"},
}
"""The same for a generator."""

CHOICE = "engines/test_choice.py::"
TRANSFORMERS = "engines/transformers/test_session.py::"
VLLM = "engines/vllm/test_session.py::"
TERMS = "engines/vllm/test_terms.py::"
DRAWN = "models/test_drawings.py::"
LOCAL = "models/test_local_generator.py::"
SERVED = "models/test_gpt_captioner.py::"
CHAT = "engines/openai/test_chat.py::"
SENT = "models/test_text_api.py::test_each_sampling_key_is_sent_and_changes_the_key"

ELSEWHERE: dict[str, str] = {
    "repeat_time": "steps/test_shard_run.py::test_repeated_answers_make_rows_of_their_own",
    "seed": "steps/test_inputs.py::test_a_seed_hangs_on_pipeline_seed_step_id_and_repeat_alone",
    "model_path": "models/test_image_captioner.py::test_it_captions_a_picture_from_a_file",
    "revision": "engines/test_hub.py::test_a_model_is_fetched_with_its_weights_once_and_the_token",
    "dtype": TRANSFORMERS + "test_bfloat16_is_what_the_weights_are_loaded_in",
    "backend": CHOICE + "test_a_backend_that_does_not_serve_the_model_is_refused",
    "device": CHOICE + "test_a_torch_built_for_cpus_leaves_the_gpu_alone",
    "trust_remote_code": TRANSFORMERS
    + "test_code_that_comes_with_weights_runs_only_where_it_is_trusted",
    "tensor_parallel_size": TERMS + "test_settings_for_gpus_reach_vllm",
    "gpu_memory_utilization": TERMS + "test_settings_for_gpus_reach_vllm",
    "max_model_len": VLLM + "test_a_prompt_beyond_max_model_len_costs_one_row",
    "max_num_seqs": VLLM + "test_requests_are_taken_only_as_they_are_needed",
    "batch_size": TRANSFORMERS + "test_no_more_than_two_batches_are_taken_ahead",
    "limit_mm_per_prompt": TERMS + "test_settings_of_weights_and_pictures_reach_vllm",
    "num_crops": "models/test_phi3v.py::"
    "test_eight_pictures_get_eight_answers_each_its_own_in_as_many_crops_as_told",
    "negative_prompt": DRAWN + "test_a_negative_prompt_changes_the_picture",
    "compile": DRAWN + "test_a_compiled_model_draws_nearly_the_same",
    "cpu_offload": DRAWN + "test_offloading_without_a_gpu_is_refused",
    "vae_tiling": DRAWN + "test_tiles_are_decoded_one_by_one",
    "cache": DRAWN + "test_a_cached_picture_differs_and_does_not_depend_on_the_row_before",
    "quantization": DRAWN + "test_quantized_weights_draw_nearly_the_same",
    "pipeline_kwargs": DRAWN + "test_a_pipelines_own_argument_reaches_it",
    "download_dir": LOCAL + "test_where_the_weights_are_kept_changes_no_answer",
    "chat_template": LOCAL + "test_a_chat_template_takes_both_as_a_users_turn",
    "min_p": LOCAL + "test_a_narrow_choice_is_the_likeliest_token_at_any_temperature",
    "presence_penalty": LOCAL + "test_each_key_changes_answers_and_the_key",
    "frequency_penalty": LOCAL + "test_each_key_changes_answers_and_the_key",
    "stop": LOCAL + "test_an_answer_ends_before_a_stop_text",
    "stop_token_ids": LOCAL + "test_a_stop_token_ends_the_answer_and_is_left_out_or_kept",
    "include_stop_str_in_output": LOCAL
    + "test_a_stop_token_ends_the_answer_and_is_left_out_or_kept",
    "min_tokens": LOCAL + "test_before_min_tokens_nothing_ends_the_answer",
    "ignore_eos": LOCAL + "test_the_models_own_end_token_may_be_ignored",
    "skip_special_tokens": LOCAL + "test_special_tokens_are_left_out_or_shown",
    "base_url": "models/test_api.py::test_every_key_of_the_server_reaches_the_engine",
    "api_key": "models/test_api.py::test_a_run_answers_rows_and_shows_the_key_nowhere",
    "max_retries": CHAT + "test_max_retries_0_tries_once",
    "timeout_s": CHAT + "test_a_wait_beyond_the_users_patience_is_not_waited",
    "model": SERVED + "test_each_key_reaches_the_server",
    "model_id": "models/test_text_api.py::"
    "test_api_generator_takes_the_prompt_as_the_system_message",
    "sys_prompt": SERVED + "test_an_empty_system_prompt_is_left_out",
    "max_side": SERVED + "test_a_picture_is_scaled_down_to_max_side",
    "quality": "models/test_api_images.py::test_it_draws_a_text_as_it_is_at_its_size",
    "stream": "models/test_text_api.py::test_api_generator_takes_the_prompt_as_the_system_message",
    "function": "models/test_function.py::test_a_users_function_is_a_step_like_any_other",
    "settings": "models/test_function.py::test_a_users_function_is_a_step_like_any_other",
    "version": "models/test_function.py::"
    "test_the_folder_of_a_module_is_found_without_running_its_package",
}
"""Key → the test that shows what it does."""

SAID = "models/test_effects.py::test_each_key_changes_what_a_captioner_says"
DRAWS = "models/test_effects.py::test_each_key_changes_what_a_generator_draws"
ANY_DRAWS = "models/test_effects.py::test_each_key_changes_what_any_pipeline_draws"
PICTURES = "engines/diffusers/test_pictures.py::"
SENT_ABOVE = "models/test_text_api.py::test_gpt_text_generator_puts_the_prompt_above_the_text"
SIZES = ("guidance_scale", "height", "max_sequence_length", "num_inference_steps", "width")
REACHES = SERVED + "test_each_key_reaches_the_server"

BY_CLASS: dict[str, dict[str, str]] = {
    "LanguageModel": {
        **{key: ELSEWHERE[key] for key in ("batch_size", "device", "dtype", "max_num_seqs")},
        **dict.fromkeys(("max_tokens", "temperature", "top_p"), SAID),
        "quantization": ELSEWHERE["limit_mm_per_prompt"],
    },
    "VisionLanguageModel": {"prompt": SAID},
    "LocalModelGenerator": {
        **{key: ELSEWHERE[key] for key in ("frequency_penalty", "presence_penalty", "stop")},
        "prompt": LOCAL + "test_the_prompt_stands_above_the_text_without_a_template",
    },
    "DiffusionModel": {
        "batch_size": PICTURES + "test_a_picture_is_bit_identical_whatever_its_batch",
        "device": ELSEWHERE["device"],
        "dtype": PICTURES + "test_bfloat16_is_what_the_weights_are_loaded_in",
        "quantization": ELSEWHERE["quantization"],
    },
    "ImageGenerator": dict.fromkeys(SIZES, DRAWS),
    "DiffusersGenerator": dict.fromkeys(SIZES, ANY_DRAWS),
    "ApiModel": {
        "max_num_seqs": CHAT + "test_max_num_seqs_requests_are_in_flight_and_no_more_are_taken"
    },
    "ApiTextGenerator": dict.fromkeys(
        ("frequency_penalty", "max_tokens", "presence_penalty", "stop", "temperature", "top_p"),
        SENT,
    ),
    "GPTTextGenerator": dict.fromkeys(("batch_size", "model", "prompt", "sys_prompt"), SENT_ABOVE),
    "APIGenerator": {"prompt": ELSEWHERE["model_id"]},
    "GPTCaptioner": {
        **dict.fromkeys(("batch_size", "max_tokens", "model", "temperature", "top_p"), REACHES),
        "prompt": SERVED + "test_it_sends_the_system_prompt_then_the_prompt_with_the_picture",
        "sys_prompt": ELSEWHERE["sys_prompt"],
    },
    "ImageAPIGenerator": dict.fromkeys(("height", "model", "width"), ELSEWHERE["quality"]),
}
"""Class → of its keys those that other classes declare too → the test of what it does there."""


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_babbler(tmp_path_factory.mktemp("models") / "babbler")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    picture(3).save(path)
    return str(path)


def made(model: Model, given: Given) -> Answer:
    (answered,) = answer_once(model.open(model.engine()), [model.request(given)]).values()
    assert isinstance(answered, Answer)
    return answered


@pytest.mark.parametrize("key", CAPTIONS)
def test_each_key_changes_what_a_captioner_says(key: str, babbler: str, scene: str) -> None:
    plain = {"temperature": 0, "repetition_penalty": 1, "max_tokens": 24}
    where = {"model_path": babbler, "backend": "transformers", "device": "cpu"}
    with_key = {**plain, **CAPTIONS[key]}
    without = {name: with_key[name] for name in with_key if name != key or key in plain}
    without |= {key: plain[key]} if key in plain else {}
    one, other = (
        made(LLaVACaptioner.model_validate({**where, **config}), Given(0, 5, image=scene))
        for config in (with_key, without)
    )
    assert one.text != other.text


@pytest.fixture(scope="module")
def plain_drawing() -> np.ndarray:
    return drawing({})


def drawing(config: dict[str, Any], of: type[DiffusionModel] = FLUXGenerator) -> np.ndarray:
    small: dict[str, Any] = {
        "height": 64,
        "width": 64,
        "num_inference_steps": 2,
        "max_sequence_length": 32,
    }
    small |= {"guidance_scale": 4.5}
    model = of.model_validate(
        {"model_path": FLUX, "device": "cpu", "dtype": "float32", **small, **config}
    )
    return np.asarray(made(model, Given(0, 5, text="a red circle on a blue background")).picture)


@pytest.mark.parametrize("key", DRAWINGS)
def test_each_key_changes_what_a_generator_draws(key: str, plain_drawing: np.ndarray) -> None:
    changed = drawing(DRAWINGS[key])
    assert changed.shape != plain_drawing.shape or (changed != plain_drawing).any()
    assert changed.shape[:2] == (
        DRAWINGS[key].get("height", 64),
        DRAWINGS[key].get("width", 64),
    )


@pytest.mark.parametrize("key", SIZES)
def test_each_key_changes_what_any_pipeline_draws(key: str, plain_drawing: np.ndarray) -> None:
    changed = drawing(DRAWINGS[key], DiffusersGenerator)
    assert changed.shape != plain_drawing.shape or (changed != plain_drawing).any()


OURS = [*MODELS, *SERVED_MODELS]


def declaring(model: type[Model], key: str) -> str:
    """The class that first declares a key, with which its meaning begins."""
    return [one.__name__ for one in model.__mro__ if key in vars(one).get("__annotations__", {})][
        -1
    ]


@cache
def classes_of() -> dict[str, set[str]]:
    """Key → the classes that declare it."""
    classes: dict[str, set[str]] = {}
    for row in OURS:
        model = registry.find(row.step_type, row.name)
        for key in model.model_fields:
            classes.setdefault(key, set()).add(declaring(model, key))
    return classes


@pytest.mark.parametrize("row", OURS, ids=lambda row: f"{row.step_type}-{row.name}")
def test_every_key_of_every_model_has_its_test(row: ModelRow) -> None:
    model = registry.find(row.step_type, row.name)
    here = DRAWINGS if row.writes == "image" else CAPTIONS
    for key in model.model_fields:
        owner = declaring(model, key)
        alone = classes_of()[key] == {owner}
        assert key in ({*ELSEWHERE, *here} if alone else BY_CLASS[owner]), f"{owner}.{key}"


NAMED = {*ELSEWHERE.values(), *(place for keys in BY_CLASS.values() for place in keys.values())}


@pytest.mark.parametrize("place", sorted(NAMED))
def test_the_tests_named_are_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")
