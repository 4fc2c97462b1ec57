import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataflow_dagster.cli.main import main
from dataflow_dagster_tests.toys.pipelines import SHOUT, with_config, write_pipeline
from dataflow_dagster_tests.toys.process import ROOT, run_python

pytestmark = pytest.mark.usefixtures("toys")


def _call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("run", ["--config", "--limit", "--recompute", "--partition", "--partition-range"]),
        ("check", ["--config"]),
    ],
)
def test_all_options_appear_in_the_help(command: str, options: list[str]) -> None:
    for flag in ("--help", "-h"):
        shown = _call(command, flag)
        assert shown.exit_code == 0
        assert [option for option in options if option not in shown.output] == []


def test_the_program_that_gets_installed_is_this_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = EntryPoint("program", project["scripts"]["dataflow-dagster"], "console_scripts")
    assert named.load() is main
    assert _call("--version").exit_code == 0


def test_check_says_what_would_run(tmp_path: Path) -> None:
    checked = _call("check", "-c", write_pipeline(tmp_path, [SHOUT]))
    assert checked.exit_code == 0
    assert "ok: 1 file(s)" in checked.stdout
    assert "raw_meta → texts → results" in checked.stdout
    assert not (tmp_path / "demo/base").exists()


def test_check_tells_everything_that_is_wrong_by_file_and_line(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [{**SHOUT, "name": "Shooter"}], stepz=1, shards=0)
    checked = _call("check", "-c", path)
    assert checked.exit_code == 2
    assert checked.stdout == ""
    lines = checked.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"meta_path": "/no/gone.jsonl"}, "/no/gone.jsonl: there is no such file or folder"),
        ({"meta_path": "${TOY_NOWHERE}/x"}, "TOY_NOWHERE is not set"),
    ],
)
def test_check_also_looks_at_input_and_environment(
    tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    checked = _call("check", "-c", write_pipeline(tmp_path, [SHOUT], **keys))
    assert checked.exit_code == 2
    assert said in checked.stderr


def test_check_names_an_id_that_is_none(tmp_path: Path) -> None:
    rows = [{"id": n + 0.5, "text": "x"} for n in range(3)]
    checked = _call("check", "-c", write_pipeline(tmp_path, [SHOUT, SHOUT], rows=rows))
    assert checked.exit_code == 0
    assert checked.stderr == (
        "warning: column 'id' is 0.5, no text or whole number: rows like it are known by a hash of"
        " their content\n"
    )


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_config_that_is_not_there_is_a_bad_yaml(tmp_path: Path, command: str) -> None:
    called = _call(command, "-c", tmp_path / "[gone].yaml")
    assert called.exit_code == 2
    assert called.stderr == f"{tmp_path}/[gone].yaml: there is no such file\n"


def test_an_old_spelling_is_a_warning_on_standard_error(tmp_path: Path) -> None:
    step = {"type": "ImageGenerator", "name": "FLUXGenerator", "config": {"weight": 64}}
    checked = _call("check", "-c", write_pipeline(tmp_path, [step]))
    assert checked.exit_code == 0
    assert "warning: " in checked.stderr
    assert "write 'width'" in checked.stderr


@pytest.mark.parametrize(
    ("shards", "allowed"),
    [(3, "allowed: 00000-of-00003 to 00002-of-00003"), (None, "allowed: none: it is not sharded")],
)
def test_a_partition_that_is_none_says_which_there_are(
    tmp_path: Path, shards: int | None, allowed: str
) -> None:
    keys = {} if shards is None else {"shards": shards}
    called = _call("run", "-c", write_pipeline(tmp_path, [SHOUT], **keys), "--partition", "7")
    assert called.exit_code == 2
    assert allowed in called.stderr
    assert not (tmp_path / "demo/base").exists()


@pytest.mark.parametrize(
    ("range_", "said"),
    [
        (
            "00001-of-00003...7",
            "'7' is no shard of demo; allowed: 00000-of-00003 to 00002-of-00003",
        ),
        ("00001-of-00003", "'' is no shard of demo"),
        ("00002-of-00003...00001-of-00003", "'00001-of-00003' comes before '00002-of-00003'"),
    ],
)
def test_a_range_of_shards_begins_and_ends_with_one(tmp_path: Path, range_: str, said: str) -> None:
    called = _call(
        "run", "-c", write_pipeline(tmp_path, [SHOUT], shards=3), "--partition-range", range_
    )
    assert called.exit_code == 2
    assert said in called.stderr


def test_files_that_are_not_there_are_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    keys = {"meta_path": str(tmp_path / "in"), "files_per_shard": 1}
    called = _call("run", "-c", write_pipeline(tmp_path, [SHOUT], **keys))
    assert called.exit_code == 2
    assert called.stderr == f"{tmp_path}/in: holds no file yet\n"


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_a_limit_is_a_number_of_rows(tmp_path: Path, limit: str) -> None:
    called = _call("run", "-c", write_pipeline(tmp_path, [SHOUT]), "--limit", limit)
    assert called.exit_code == 2
    assert "--limit" in called.stderr


def test_check_loads_no_heavy_library(tmp_path: Path) -> None:
    path = write_pipeline(tmp_path, [with_config(SHOUT)])
    code = f"""
import sys
from dataflow_dagster.cli.main import main
main(["check", "-c", "{path}"], standalone_mode=False)
heavy = "torch vllm diffusers transformers pandas pyarrow numpy PIL".split()
print([name for name in heavy if name in sys.modules])
"""
    done = run_python(tmp_path, "-c", code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_list_of_commands_is_not_cut_short() -> None:
    listed = _call("--help").stdout.split("Commands:")[1]
    assert "..." not in listed
    assert all(f"\n  {command} " in listed for command in main.commands)


@pytest.mark.parametrize("command", ["errors", "export"])
def test_examples_stand_on_lines_of_their_own(command: str) -> None:
    shown = _call(command, "--help").stdout
    assert f"\n    dataflow-dagster {command} -c cats.yaml" in shown
    assert "\\b" not in shown
