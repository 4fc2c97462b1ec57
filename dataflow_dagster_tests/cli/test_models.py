import pytest
from click.testing import CliRunner

from dataflow_dagster.cli.main import main
from dataflow_dagster.models.llava import LLaVACaptioner
from dataflow_dagster.registry import models


def told(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["models", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_model_has_a_line_with_its_type_and_engines() -> None:
    lines = told().splitlines()[1:]
    registered = [(kind, name) for kind, named in models().items() for name in named]
    assert [tuple(line.split()[:2]) for line in lines] == registered
    llava = next(line for line in lines if "LLaVACaptioner" in line)
    assert "vllm or transformers" in llava
    assert llava.endswith("llava-hf/llava-1.5-7b-hf")


def test_every_key_of_a_model_is_told_with_its_default_and_meaning() -> None:
    lines = {line.split()[0]: line for line in told("LLaVACaptioner").splitlines() if line.strip()}
    for key, field in LLaVACaptioner.model_fields.items():
        assert repr(field.default) in lines[key]
        assert field.description is not None
        assert lines[key].endswith(field.description)


def test_a_key_that_must_be_given_says_so() -> None:
    assert "(required)" in next(
        line for line in told("VLMCaptioner").splitlines() if line.startswith("model_path")
    )


def test_an_old_spelling_is_told() -> None:
    assert "weight: an old spelling of width" in told("FLUXGenerator")


def test_an_unknown_model_is_told_the_nearest() -> None:
    done = CliRunner().invoke(main, ["models", "LlavaCaptioner"])
    assert done.exit_code == 2
    assert "did you mean 'LLaVACaptioner'?" in done.output


def test_an_alias_tells_the_model_that_it_means() -> None:
    assert told("StableDiffusion3Generator").startswith(
        "ImageGenerator StableDiffusionGenerator (StableDiffusion3Generator is an old name of it)"
    )


@pytest.mark.usefixtures("toys")
def test_a_model_that_names_no_engine_is_listed_too() -> None:
    assert any(line.split() == ["Toy", "Shouter"] for line in told().splitlines())
    assert told("Shouter").startswith("Toy Shouter: Says")
