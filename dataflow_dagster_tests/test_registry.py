import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_dagster import register, registry
from dataflow_dagster.registry import UnknownNameError
from dataflow_dagster_tests.toys.process import ROOT

pytestmark = pytest.mark.usefixtures("toys")


def test_a_registered_class_is_found_by_its_own_name_and_by_its_aliases() -> None:
    @register("Toy", aliases=("OldToy",))
    class NewToy:
        pass

    assert registry.find("Toy", "NewToy") is NewToy
    assert registry.find("Toy", "OldToy") is NewToy
    assert "OldToy" not in registry.models()["Toy"]


def test_two_classes_of_one_name_are_refused() -> None:
    class Shouter:
        pass

    with pytest.raises(ValueError, match=r"Toy Shouter is registered by .*toys\.models"):
        register("Toy")(Shouter)


def test_the_same_module_loaded_again_may_register_again() -> None:
    shouter = registry.find("Toy", "Shouter")
    assert register("Toy")(shouter) is shouter


def test_an_unknown_name_says_the_nearest_and_all() -> None:
    with pytest.raises(UnknownNameError) as raised:
        registry.find("Toy", "Shooter")
    assert raised.value.nearest == "Shouter"
    assert str(raised.value).endswith("Allowed: Filmer, Namer, Painter, Shouter, Wanderer, Watcher")
    with pytest.raises(UnknownNameError, match=r"unknown step type 'Toi', did you mean 'Toy'\?"):
        registry.find("Toi", "Shouter")


def test_the_shipped_models_are_there_without_being_listed_anywhere() -> None:
    assert {"LLaVACaptioner"} <= registry.models()["ImageCaptioner"].keys()
    assert {"FLUXGenerator"} <= registry.models()["ImageGenerator"].keys()


@pytest.fixture
def broken_package(tmp_path: Path) -> Path:
    """A folder with an installed package ``broken-models`` whose module fails to load."""
    site = tmp_path / "site"
    about = site / "broken_models-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[dataflow_dagster.models]\nmine = their_models\n")
    (site / "their_models.py").write_text("import no_such_library_of_theirs\n")
    return site


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("{type: ImageCaptioner, name: LLaVACaptioner}", 0),
        ("{type: ImageCaptioner, name: TheirCaptioner}", 2),
    ],
    ids=["another's model", "its model"],
)
def test_a_package_that_does_not_load_is_told_and_stops_no_other_pipeline(
    broken_package: Path, tmp_path: Path, step: str, code: int
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"image": "a.png"}\n')
    file = tmp_path / "mine.yaml"
    file.write_text(f"meta_path: {tmp_path}/rows.jsonl\nsteps:\n  - {step}\n")
    done = subprocess.run(
        [sys.executable, "-m", "dataflow_dagster", "check", "--config", str(file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(broken_package), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    said = "package 'broken-models' cannot be named: its module 'their_models' fails to load"
    assert f"{said}: ModuleNotFoundError: No module named 'no_such" in done.stderr
    assert "Traceback" not in done.stderr
    assert ("mine.yaml:3" in done.stderr) == bool(code)
