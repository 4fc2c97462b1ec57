"""The README's code is run, and its tables are held against the code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dataflow_dagster import registry
from dataflow_dagster.cli.main import main
from dataflow_dagster.cli.models import default_model
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineOptions, PipelineSpec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def table(header: str) -> list[list[str]]:
    lines = README[README.index(f"| {header} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def pipeline() -> PipelineSpec:
    return parse_pipeline(blocks("yaml")[0], Path("cats.yaml"))


def test_the_smallest_yaml_is_a_pipeline(pipeline: PipelineSpec) -> None:
    assert [step.asset for step in pipeline.steps] == ["captions", "generated_images"]
    assert not pipeline.warnings


def test_the_models_named_beside_the_yaml_are_the_defaults(pipeline: PipelineSpec) -> None:
    for step in pipeline.steps:
        assert f"# {step.config.model_path}, on" in blocks("yaml")[0]


def test_every_key_we_add_is_in_the_table() -> None:
    reference = {"meta_path", "meta_folder", "base_folder", "save_folder"}
    reference |= {"image_key", "text_key", "video_key"}
    told = {key for row in table("key") for key in re.findall(r"`(\w+)`", row[0])}
    assert told == set(PipelineOptions.model_fields) - reference


def test_the_defaults_in_the_table_are_the_defaults() -> None:
    fields = PipelineOptions.model_fields
    defaults = {row[0].strip("`"): row[1].strip("`") for row in table("key")}
    for key in ("format", "seed"):
        assert defaults[key] == str(fields[key].default)


def test_the_rows_shown_are_json() -> None:
    base, result = (json.loads(block) for block in blocks("json"))
    assert base["dataflow_captions"]["text"] == base["dataflow_text"] == result["text"]
    assert result["dataflow_source_image"] == base["image"]


def test_the_commands_exist() -> None:
    commands = re.findall(r"python -m dataflow_dagster (\w+)", README)
    assert set(commands) <= set(main.commands)
    options = {
        option for command in main.commands.values() for p in command.params for option in p.opts
    }
    assert set(re.findall(r"(--[a-z]+)", "\n".join(blocks("bash")))) <= options | {"--select"}


def test_the_model_shown_can_be_added() -> None:
    code = next(block for block in blocks("python") if "@register" in block)
    check = (
        "from dataflow_dagster.registry import find\n"
        "model = find('ImageCaptioner', 'VipLLaVACaptioner')()\n"
        "assert '{p}' not in model.render() and model.prompt in model.render()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + check], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_asset_on_top_loads_with_the_demo() -> None:
    code = next(block for block in blocks("python") if "long_captions" in block)
    check = "\ndg.Definitions.validate_loadable(defs)\n"
    done = subprocess.run(
        [sys.executable, "-c", code + check], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_table_of_models_is_that_of_the_registry() -> None:
    told = [tuple(cell.strip("`") for cell in row) for row in table("type")]
    ours = [
        (kind, name, " or ".join(model.engines), default_model(model))
        for kind, models in registry.models().items()
        for name, model in models.items()
        if model.__module__.startswith("dataflow_dagster.models.")
    ]
    assert told == ours


def test_the_pictures_shown_are_there() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).stat().st_size > 1000


def test_the_demo_has_as_many_pictures_as_told() -> None:
    rows = (ROOT / "data/demo/images.jsonl").read_text(encoding="utf-8").splitlines()
    assert f"captions {len(rows)} drawn pictures" in README
    assert yaml.safe_load((ROOT / "data/pipelines/demo.yaml").read_text())["save_folder"] in README
