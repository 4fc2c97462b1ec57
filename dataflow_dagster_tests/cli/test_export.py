from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dataflow_dagster.cli.main import main
from dataflow_dagster_tests.toys.pipelines import (
    NAME,
    PAINT,
    picture_rows,
    pipeline,
    write_pipeline,
)
from dataflow_dagster_tests.toys.process import run_python
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")


def _export(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["export", "-c", str(folder / "demo.yaml"), *arguments, str(folder / "cats")]
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Five pictures in two shards, named and painted again; the last is no picture."""
    rows = picture_rows(tmp_path / "demo", 5)
    (tmp_path / "demo/4.png").write_text("no picture")
    of = pipeline(tmp_path, [NAME, PAINT], rows=rows, shards=2)
    assert materialize(of, shards=[0, 1]).success
    return tmp_path


@pytest.mark.parametrize("kind", ["webdataset", "hf", "parquet"])
def test_it_says_what_was_written(run: Path, kind: str) -> None:
    done = _export(run, "--to", kind)
    assert done.exit_code == 0, done.stderr
    first, columns, left_out = done.stdout.splitlines()
    assert first == f"{run}/cats: 4 rows in 1 file"
    assert set(columns.removeprefix("columns: ").split(", ")) == {
        *("dataflow_id", "id", "image", "color", "text", "dataflow_source_image"),
    }
    assert left_out == "left out: 1 rows that failed (--failed keep takes them along)"
    assert done.stderr == ""


def test_options_reach_the_export(run: Path) -> None:
    done = _export(
        *(run, "--to", "parquet", "--columns", "text, image", "--failed", "keep"),
        *("--pictures", "bytes", "--rows-per-file", "2"),
    )
    assert done.stdout.splitlines() == [
        f"{run}/cats: 5 rows in 3 files",
        "columns: text, image, image_bytes",
    ]
    assert _export(run, "--to", "hf", "--overwrite").exit_code == 0


def test_what_is_in_the_way_is_one_line_and_exit_code_1(run: Path) -> None:
    (run / "cats").mkdir()
    (run / "cats/mine").touch()
    done = _export(run, "--to", "hf", "--overwrite")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"nothing was exported: {run}/cats exists and is no export")
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_yaml_is_exit_code_2(tmp_path: Path) -> None:
    write_pipeline(tmp_path, [{**NAME, "name": "Nobody"}])
    assert _export(tmp_path, "--to", "hf").exit_code == 2


def test_a_webdataset_is_written_without_any_heavy_library(run: Path) -> None:
    code = f"""
import sys
from dataflow_dagster.cli.main import main
arguments = ["export", "-c", "demo.yaml", "--to", "webdataset", "{run}/cats"]
main(arguments, standalone_mode=False)
heavy = "torch vllm diffusers transformers pandas pyarrow numpy PIL".split()
print([name for name in heavy if name in sys.modules])
"""
    done = run_python(run, "-c", code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
