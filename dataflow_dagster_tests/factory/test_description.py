from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.factory.description import described, kinds
from dataflow_dagster.schema.loading import load_pipeline, parse_pipeline
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, with_config

pytestmark = pytest.mark.usefixtures("toys")
DEMO = Path(__file__).parents[2] / "data/pipelines/demo.yaml"


def test_an_asset_says_its_model_prompt_settings_and_places() -> None:
    said = described(load_pipeline(DEMO), "captions")
    assert said.startswith("ImageCaptioner **LLaVACaptioner**: ")
    assert "Reads the newest picture of each row, writes a text." in said
    assert "| model | `data/models/scenes_llava` |" in said
    assert "| prompt | What is the content of this image? |" in said
    assert "temperature: 0.6" in said
    assert (
        "| rows | `intermediate_results/demo/step_1_ImageCaptioner_LLaVACaptioner/result.jsonl` |"
        in said
    )
    drawn = described(load_pipeline(DEMO), "generated_images")
    assert "num\\_inference\\_steps: 6" in drawn
    folder = "step_2_ImageGenerator_FLUXGenerator/generated_images"
    assert f"| pictures | `intermediate_results/demo/{folder}/` |" in drawn


def test_a_key_stands_in_no_description(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [with_config(SHOUT, api_key="sk-secret")])
    assert "sk-secret" not in described(of, "texts")
    assert "\\*\\*\\*" not in described(of, "texts")


def test_a_prompt_of_several_lines_and_bars_stays_one_cell() -> None:
    text = (
        "meta_path: a.csv\nsteps:\n  - type: ImageCaptioner\n    name: LLaVACaptioner\n"
        '    config: {prompt: "one\\n\\ntwo | {{three}} <b>"}\n'
    )
    said = described(parse_pipeline(text, Path("x.yaml")), "captions")
    assert "| prompt | one  two \\| {{three}} \\<b\\> |" in said


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ("{type: ImageCaptioner, name: LLaVACaptioner}", {"vllm", "huggingface", "json"}),
        (
            "{type: ImageCaptioner, name: LLaVACaptioner, config: {backend: transformers}}",
            {"pytorch", "huggingface", "json"},
        ),
        ("{type: ImageGenerator, name: FLUXGenerator}", {"diffusers", "huggingface", "json"}),
        ("{type: ImageCaptioner, name: GPTCaptioner}", {"openai", "json"}),
        (
            "{type: TextGenerator, name: APIGenerator, config: {model_id: 'anthropic:x'}}",
            {"claude", "json"},
        ),
    ],
)
def test_kinds_are_the_engine_the_hub_and_the_format(step: str, shown: set[str]) -> None:
    of = parse_pipeline(f"meta_path: a.csv\nsteps:\n  - {step}\n", Path("x.yaml"))
    assert kinds(of, of.steps[0].asset) == shown
    assert kinds(of, "raw_meta") == {"python", "csv", "json"}


def test_each_asset_leads_to_the_line_of_its_step() -> None:
    lines: dict[str, int] = {}
    for asset in PipelineAssets(load_pipeline(DEMO)).build():
        metadata = asset.get_asset_spec().metadata
        (reference,) = metadata["dagster/code_references"].code_references
        assert isinstance(reference, dg.LocalFileCodeReference)
        assert reference.file_path == str(DEMO)
        lines[asset.key.path[-1]] = reference.line_number or 0
    yaml = DEMO.read_text().splitlines()
    assert "ImageCaptioner" in yaml[lines["captions"] - 1]
    assert "ImageGenerator" in yaml[lines["generated_images"] - 1]
    assert lines["raw_meta"] == 1
