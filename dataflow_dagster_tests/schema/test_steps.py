from pathlib import Path

import pytest

from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import parse_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec

DRAW = "  - {type: ImageGenerator, name: FLUXGenerator"
CAPTION = "  - {type: ImageCaptioner, name: LLaVACaptioner"


def _parse(*steps: str) -> PipelineSpec:
    return parse_pipeline("\n".join(["meta_path: m", "steps:", *steps]), Path("x.yaml"))


def _problems(*steps: str) -> str:
    with pytest.raises(PipelineError) as raised:
        _parse(*steps)
    return str(raised.value)


def test_a_second_asset_of_one_name_is_numbered() -> None:
    spec = _parse(f"{DRAW}}}", f"{CAPTION}}}", f"{DRAW}}}", f"{DRAW}}}")
    assert [step.asset for step in spec.steps] == [
        "generated_images",
        "captions",
        "generated_images_2",
        "generated_images_3",
    ]


def test_a_numbered_asset_goes_round_the_names_that_are_written() -> None:
    spec = _parse(
        f"{CAPTION}}}",
        f"{CAPTION}}}",
        f"{CAPTION}, asset: captions_2}}",
        f"{CAPTION}, asset: captions}}",
    )
    assert [step.asset for step in spec.steps] == [
        "captions_3",
        "captions_4",
        "captions_2",
        "captions",
    ]


def test_an_identity_stays_when_other_steps_come_before() -> None:
    alone = _parse(f"{DRAW}}}").steps[0]
    behind = _parse(f"{CAPTION}}}", f"{DRAW}}}", f"{DRAW}}}")
    assert alone.identity == behind.steps[1].identity == "ImageGenerator/FLUXGenerator"
    assert behind.steps[2].identity == "ImageGenerator/FLUXGenerator#2"
    assert behind.steps[1].folder == "step_2_ImageGenerator_FLUXGenerator"


def test_an_identity_stays_when_a_step_of_the_class_with_other_settings_comes_before() -> None:
    one, other = (f"{DRAW}, config: {{width: {width}}}}}" for width in (64, 128))
    specs = _parse(one, other, one, f"{DRAW}, config: {{width: 64, batch_size: 3}}}}").steps
    numbers = [spec.identity.removeprefix("ImageGenerator/FLUXGenerator") for spec in specs]
    assert numbers == ["", "", "#2", "#3"]


def test_repeat_time_and_input_key_do_not_make_a_step_another_but_its_seed_does() -> None:
    keys = ["", ", input_key: text", ", config: {repeat_time: 2}", ", config: {seed: 1}"]
    numbers = [spec.occurrence for spec in _parse(*(f"{DRAW}{key}}}" for key in keys)).steps]
    assert numbers == [1, 2, 3, 1]


def test_a_variable_s_value_does_not_number_steps() -> None:
    pair = (f"{DRAW}, config: {{model_path: '${{{name}}}'}}}}" for name in ("A", "B"))
    spec = _parse(*pair).with_environment({"A": "same", "B": "same"})
    assert [step.occurrence for step in spec.steps] == [1, 1]


@pytest.mark.usefixtures("speaker")
def test_an_alias_has_the_identity_of_its_class_and_the_folder_it_was_written_as() -> None:
    spec = _parse("  - {type: TestSpeaker, name: Talker}", "  - {type: TestSpeaker, name: Speaker}")
    assert [step.identity for step in spec.steps] == [
        "TestSpeaker/Speaker",
        "TestSpeaker/Speaker#2",
    ]
    assert spec.steps[0].folder == "step_1_TestSpeaker_Talker"


def test_an_old_spelling_is_accepted_with_one_warning() -> None:
    spec = _parse(f"{DRAW}, config: {{weight: 64}}}}")
    assert spec.steps[0].config.model_dump()["width"] == 64
    assert spec.warnings == ("x.yaml:3: steps[0].config.weight: is an old spelling; write 'width'",)


def test_an_old_spelling_beside_the_new_one_is_refused() -> None:
    text = _problems(f"{DRAW}, config: {{weight: 64, width: 64}}}}")
    assert text == (
        "x.yaml:3: steps[0].config.weight: is the old spelling of 'width', which is given too"
    )


def test_a_wrong_value_is_told_under_the_spelling_that_was_written() -> None:
    assert "steps[0].config.weight: is the text 'a'" in _problems(
        f"{DRAW}, config: {{weight: a}}}}"
    )


def test_a_rule_over_several_keys_points_at_the_key_it_names() -> None:
    text = _problems(
        "  - type: ImageGenerator",
        "    name: FLUXGenerator",
        "    config:",
        "      width: 64",
        "      height: 65",
    )
    assert text.startswith("x.yaml:7: steps[0].config.height: must be a multiple of 16")


def test_a_name_of_another_type_is_told_with_its_type() -> None:
    text = _problems("  - type: ImageGenerator", "    name: LLaVACaptioner")
    assert text.startswith("x.yaml:4: steps[0].name: unknown ImageGenerator 'LLaVACaptioner'")
    assert text.endswith("'LLaVACaptioner' is a model of type ImageCaptioner")


def test_an_unknown_type_points_at_its_line() -> None:
    text = _problems("  - name: LLaVACaptioner", "    type: ImageCaptionr")
    assert text.startswith(
        "x.yaml:4: steps[0].type: unknown step type 'ImageCaptionr', did you mean 'ImageCaptioner'?"
    )


def test_the_pipeline_s_resources_reach_every_step() -> None:
    text = "\n".join(
        [
            "resources: {cpus: 2, gpus: 1}",
            "meta_path: m",
            "steps:",
            f"{CAPTION}, resources: {{gpus: 0}}}}",
            f"{DRAW}}}",
        ]
    )
    first, second = parse_pipeline(text, Path("x.yaml")).steps
    assert (first.resources.gpus, first.resources.cpus) == (0, 2)
    assert (second.resources.gpus, second.resources.cpus) == (1, 2)


def test_the_line_of_a_step_is_where_it_begins() -> None:
    spec = _parse("", "  # a remark", f"{CAPTION}}}", f"{DRAW}}}")
    assert [(step.line, step.position) for step in spec.steps] == [(5, 1), (6, 2)]


def test_a_key_like_no_other_is_told_where_all_keys_are_listed() -> None:
    said = _problems(f"{CAPTION}, config: {{zzzqqq: 3}}}}")
    assert said.endswith(
        "unknown key. Allowed: see python -m dataflow_dagster models LLaVACaptioner"
    )


def test_a_truth_in_quotes_is_told_to_leave_them_out() -> None:
    said = _problems(f'{CAPTION}, config: {{trust_remote_code: "True"}}}}')
    assert said.endswith("is the text 'True', expected true or false; leave the quotes out")
