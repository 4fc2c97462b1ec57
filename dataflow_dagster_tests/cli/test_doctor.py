import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataflow_dagster.cli import doctor
from dataflow_dagster.cli.main import main

MODELS = Path(__file__).parents[2] / "data" / "models"


def findings(*engines: str, monkeypatch: pytest.MonkeyPatch) -> list[doctor.Finding]:
    monkeypatch.setattr(doctor, "ENGINES", engines)
    return list(doctor.examine_all(MODELS))


def test_engines_that_work_give_every_known_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for finding in findings("transformers", "diffusers", monkeypatch=monkeypatch):
        assert finding.works, finding
        assert finding.told.startswith("9 of 9 known answers right on ")


def test_a_torchvision_of_another_torch_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "torchvision"
    broken.mkdir()
    (broken / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    (finding,) = findings("diffusers", monkeypatch=monkeypatch)
    assert not finding.works
    assert "torchvision is built for another torch" in finding.told


def test_an_engine_that_is_not_installed_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda _: None)
    (finding,) = findings("vllm", monkeypatch=monkeypatch)
    assert finding == doctor.Finding(
        "vllm", None, works=False, told='not installed: pip install "dataflow-dagster[gpu]"'
    )


def test_without_a_captioner_and_a_generator_the_exit_code_is_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda _: None)
    done = CliRunner().invoke(main, ["doctor", "--models", str(MODELS)])
    assert done.exit_code == 1
    assert done.output.count("absent") == len(doctor.ENGINES)


def test_models_that_are_not_there_are_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--models", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert str(tmp_path / "none") in done.output


def test_last_words_without_a_known_meaning_are_passed_on() -> None:
    assert doctor.explain("first\nOops: 7\n\n") == "Oops: 7"
    assert doctor.explain("") == "it ended without a word"
