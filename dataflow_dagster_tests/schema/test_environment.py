from pathlib import Path

import pytest
from pydantic import SecretStr

from dataflow_dagster.schema.errors import PipelineError
from dataflow_dagster.schema.loading import parse_pipeline

TEXT = """\
meta_path: ${ROOT}/meta.jsonl
save_folder: ${ROOT}/${RUN}
steps:
  - type: TestSpeaker
    name: Speaker
    config:
      api_key: ${SPEAKER_KEY}
      api_base: ${BASE}
      prompt: "{{ ${ROOT} }} {% x %} ${y"
      stop: ["${STOP}", "a"]
"""
ENVIRON = {"ROOT": "/data", "RUN": "7", "SPEAKER_KEY": "sk-1", "BASE": "http://b", "STOP": "."}
PATH = Path("x.yaml")


@pytest.fixture
def text(speaker: type) -> str:
    """The pipeline with `Speaker` known, its base_url not checked before it is resolved."""
    return TEXT.replace("api_base: ${BASE}", "api_base: http://${BASE}")


def test_variables_stay_as_they_are_until_they_are_resolved(text: str) -> None:
    spec = parse_pipeline(text, PATH)
    assert spec.meta_path == "${ROOT}/meta.jsonl"
    resolved = spec.with_environment(ENVIRON | {"BASE": "b"})
    assert (resolved.meta_path, resolved.save_folder) == ("/data/meta.jsonl", "/data/7")
    config = resolved.steps[0].config.model_dump()
    assert config["api_key"] == SecretStr("sk-1")
    assert config["base_url"] == "http://b"
    assert config["stop"] == [".", "a"]
    assert spec.meta_path == "${ROOT}/meta.jsonl"


def test_a_prompt_is_literal_text(text: str) -> None:
    resolved = parse_pipeline(text, PATH).with_environment(ENVIRON)
    assert resolved.steps[0].config.model_dump()["prompt"] == "{{ ${ROOT} }} {% x %} ${y"


def test_what_a_variable_holds_is_not_resolved_again(text: str) -> None:
    environ = ENVIRON | {"RUN": "${STOP}"}
    resolved = parse_pipeline(text, PATH).with_environment(environ)
    assert resolved.save_folder == "/data/${STOP}"
    assert resolved.with_environment(environ) is resolved


def test_every_unset_variable_is_named_with_its_line_and_key(text: str) -> None:
    spec = parse_pipeline(text, PATH)
    environ = {"ROOT": "/data", "BASE": "b", "STOP": "."}
    problems = [problem.told_of(PATH) for problem in spec.unset_variables(environ)]
    assert problems == [
        "x.yaml:2: save_folder: the environment variable RUN is not set",
        "x.yaml:7: steps[0].config.api_key: the environment variable SPEAKER_KEY is not set",
    ]
    with pytest.raises(PipelineError, match="RUN is not set"):
        spec.with_environment(environ)


def test_a_value_that_is_not_allowed_is_told_with_its_place_but_not_shown(speaker: type) -> None:
    text = TEXT.replace("${BASE}", "http").replace("${ROOT}/meta.jsonl", "${ROOT}")
    with pytest.raises(PipelineError) as raised:
        parse_pipeline(text, PATH).with_environment(ENVIRON | {"ROOT": ""})
    assert str(raised.value) == (
        "x.yaml:1: meta_path: stands for a value that is not allowed, "
        "expected text that is not empty"
    )


def test_a_form_that_is_no_name_is_refused_at_load(text: str) -> None:
    with pytest.raises(PipelineError, match=r"x.yaml:2: save_folder: \$\{RUN:-7\} is not"):
        parse_pipeline(text.replace("${RUN}", "${RUN:-7}"), PATH)


def test_a_secret_is_never_shown(text: str) -> None:
    literal = parse_pipeline(text.replace("${SPEAKER_KEY}", "sk-1"), PATH)
    resolved = parse_pipeline(text, PATH).with_environment(ENVIRON)
    for spec in (literal, resolved):
        assert "sk-1" not in repr(spec) + str(spec) + spec.model_dump_json()


def test_a_pipeline_without_variables_is_itself_when_resolved() -> None:
    text = "meta_path: m\nsteps: [{type: ImageGenerator, name: FLUXGenerator}]\n"
    spec = parse_pipeline(text, PATH)
    assert spec.with_environment({}) is spec
    assert spec.unset_variables({}) == []
