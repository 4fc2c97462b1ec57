import json
import os
import shutil
from pathlib import Path

import pytest

from dataflow_dagster.engines.checkpoint import (
    check_model_path,
    context_length,
    revision,
    stored_precision,
)
from dataflow_dagster.engines.errors import UnfitSettingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "vae").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "vae" / "weights.safetensors").write_bytes(b"1234")
    return folder


def test_a_name_on_the_hub_is_its_own_revision() -> None:
    assert revision("llava-hf/llava-1.5-7b-hf") == "llava-hf/llava-1.5-7b-hf"


def test_a_folder_keeps_its_revision_when_it_is_moved(folder: Path) -> None:
    before = revision(str(folder))
    assert revision(str(shutil.move(folder, folder.with_name("moved")))) == before


def test_other_weights_are_another_revision(folder: Path) -> None:
    before = revision(str(folder))
    (folder / "vae" / "weights.safetensors").write_bytes(b"12345")
    assert revision(str(folder)) != before


def test_weights_written_anew_in_equal_size_are_another_revision(folder: Path) -> None:
    before = revision(str(folder))
    os.utime(folder / "vae" / "weights.safetensors", ns=(0, 0))
    assert revision(str(folder)) != before


def test_files_that_decide_nothing_do_not_count(folder: Path) -> None:
    before = revision(str(folder))
    (folder / "README.md").write_text("about it")
    assert revision(str(folder)) == before


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "torch.float16"}, "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ({"dtype": "int4"}, None),
        ({"text_config": None}, None),
    ],
)
def test_the_stored_precision_is_read_from_the_config(
    folder: Path, config: dict[str, object], precision: str | None
) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    assert stored_precision(str(folder)) == precision


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"max_position_embeddings": 9, "text_config": {"max_position_embeddings": 4096}}, 4096),
        ({"text_config": {}}, None),
        ({"max_position_embeddings": 2048, "rope_scaling": {"factor": 4}}, None),
    ],
)
def test_the_context_is_read_from_the_config(
    folder: Path, config: dict[str, object], length: int | None
) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    assert context_length(str(folder)) == length


def test_the_precision_of_what_is_no_folder_is_not_known() -> None:
    assert stored_precision("owner/on-the-hub") is None


@pytest.mark.parametrize(
    "name", ["gpt2", "llava-hf/llava-1.5-7b-hf", "black-forest-labs/FLUX.1-dev"]
)
def test_names_on_the_hub_pass(name: str) -> None:
    check_model_path(name)


@pytest.mark.parametrize(
    "typed", ["data/models/scenes_lava", "./scenes", "/models/x", "~/x", "a b"]
)
def test_a_mistyped_folder_is_told_before_the_hub_is_asked(typed: str) -> None:
    with pytest.raises(UnfitSettingError, match="there is no such folder"):
        check_model_path(typed)
