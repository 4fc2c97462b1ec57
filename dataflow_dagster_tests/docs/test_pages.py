"""Each page of an everyday task: its pipelines are run, on models small enough for a test."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner

from dataflow_dagster import registry
from dataflow_dagster.cli.main import main
from dataflow_dagster.rows import Row
from dataflow_dagster.schema.loading import load_pipeline
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.docs.reading import DOCS, ROOT, blocks
from dataflow_dagster_tests.engines.api_server import ApiServer
from dataflow_dagster_tests.toys.pipelines import read_rows
from dataflow_dagster_tests.toys.runs import materialize

pytest.importorskip("transformers", reason="pip install -e '.[local]'")
pytest.importorskip("diffusers", reason="pip install -e '.[local]'")

LLAVA = {"model_path": str(ROOT / "data/models/scenes_llava"), "backend": "transformers"}
FLUX = {
    "model_path": str(ROOT / "data/models/scenes_flux"),
    "height": 64,
    "width": 64,
    "num_inference_steps": 2,
    "max_sequence_length": 32,
    "batch_size": 4,
}
SMALL = {
    **dict.fromkeys(("LLaVACaptioner", "VLMCaptioner", "ScenesCaptioner"), LLAVA),
    **dict.fromkeys(("FLUXGenerator", "DiffusersGenerator"), FLUX),
}
RUN_AS_THEY_ARE = ("add-a-model", "caption-a-folder", "draw-prompts", "team")
"""Pages whose pipelines are run; the other tasks' have tests that do more than that."""

PIPELINES = [
    pytest.param(page, block, id=f"{page.stem}-{number}")
    for page in (DOCS / f"{name}.md" for name in RUN_AS_THEY_ARE)
    for number, block in enumerate(b for b in blocks(page, "yaml") if "\nsteps:" in b)
]


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ApiServer) -> Path:
    """What the pages' YAML files name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATAFLOW_GPUS", "0")
    monkeypatch.setenv("REWRITER_KEY", "sk-secret")
    monkeypatch.setitem(SMALL, "GPTTextGenerator", {"base_url": server.url})
    (tmp_path / "photos").mkdir()
    for number in range(1, 5):
        shutil.copy(ROOT / f"data/demo/images/scene-00{number}.png", tmp_path / "photos")
    (tmp_path / "prompts.jsonl").write_text(
        '{"id": "lighthouse", "prompt": "a red circle on a blue background"}\n'
        '{"id": "market", "prompt": "a blue square on a red background"}\n'
    )
    return tmp_path


@pytest.fixture
def own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that a page adds."""
    monkeypatch.setattr(registry, "_MODELS", {**registry.models()})
    (code,) = blocks(DOCS / "add-a-model.md", "python")
    exec(code, {"__name__": "my_models"})


def small(place: Path, block: str, name: str = "page") -> PipelineSpec:
    """The page's pipeline, each model of it replaced by one that fits a test."""
    document: dict[str, Any] = yaml.safe_load(block)
    for step in document["steps"]:
        step["config"] = {**step.get("config", {}), **SMALL[step["name"]]}
    path = place / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_pipeline(path)


def results(of: PipelineSpec) -> list[Row]:
    files = sorted(Path(of.save_folder).rglob("result*.jsonl" if of.shards is None else "0*.jsonl"))
    return [row for file in files if "errors" not in file.parts for row in read_rows(file)]


def run(of: PipelineSpec) -> list[Row]:
    shards = None if of.shards is None else [0, of.shards - 1]
    assert materialize(of, shards=shards).success
    return results(of)


@pytest.mark.slow
@pytest.mark.usefixtures("own_model")
@pytest.mark.parametrize(("page", "block"), PIPELINES)
def test_every_pipeline_shown_runs(place: Path, page: Path, block: str) -> None:
    of = small(place, block)
    assert not of.warnings
    rows = run(of)
    assert len(rows) >= 2
    assert [row for row in rows if "dataflow_error" in row] == []
    for step in of.steps:
        column = step.output_key or {"image": "image", "text": of.text_key}[step.config.writes]
        assert all(row[column] for row in rows)


def test_a_key_in_the_environment_reaches_the_server_and_nothing_else(
    place: Path, server: ApiServer
) -> None:
    (block,) = blocks(DOCS / "rewrite-captions.md", "yaml")
    rows = run(small(place, block))
    assert set(server.keys) == {"Bearer sk-secret"}
    assert rows[0]["rewritten"].startswith("said: Rewrite this caption as one vivid prompt:\n")
    files = (path for path in place.rglob("*") if path.is_file())
    assert [path for path in files if b"sk-secret" in path.read_bytes()] == []


def test_prompts_become_the_rows_that_are_shown(place: Path) -> None:
    block = blocks(DOCS / "draw-prompts.md", "yaml")[0]
    first = run(small(place, block))[0]
    shown = yaml.safe_load(blocks(DOCS / "draw-prompts.md", "json")[1])
    assert first.keys() == shown.keys()
    assert first["image"] == shown["image"]


def test_bad_rows_are_told_as_shown(place: Path) -> None:
    page = DOCS / "bad-rows.md"
    names = [*(f"scene-00{number}.png" for number in range(1, 5)), "cut.png", "gone.png"]
    table = "".join(f"cat-{number},{name}\n" for number, name in enumerate(names, 1))
    (place / "photos.csv").write_text("id,image\n" + table)
    (place / "photos/cut.png").write_bytes((place / "photos/scene-001.png").read_bytes()[:150])
    (block,) = blocks(page, "yaml")
    assert materialize(small(place, block)).success
    told = CliRunner().invoke(main, ["errors", "-c", "page.yaml"])
    shown = blocks(page, "text")[0]
    same = [line[:36] for line in told.stdout.splitlines()]
    assert same == [line[:36] for line in shown.splitlines()]
    again = materialize(small(place, block))
    assert again.success


def test_exports_are_made_by_the_commands_shown(place: Path) -> None:
    page = DOCS / "export.md"
    (block,) = blocks(page, "yaml")
    run(small(place, block, "exported"))
    (commands,) = blocks(page, "bash")
    exports = [line.split()[3:] for line in commands.splitlines() if " export " in line]
    assert len(exports) == 3
    for arguments in exports:
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith(f"{arguments[-1]}: 4 rows in 1 file")


def test_the_table_of_export_has_all_its_options_and_defaults() -> None:
    text = (DOCS / "export.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(--[a-z-]+)` \|([^|]*)\|", text, flags=re.MULTILINE))
    shown = {name: default.strip(" `") for name, default in told.items() if name != "--to"}
    unsaid = {"--columns": "all", "--overwrite": ""}
    options = (option for option in main.commands["export"].params if option.opts[0] != "--config")
    assert shown == {
        name: unsaid.get(name, str(option.default))
        for option in options
        for name in option.opts
        if name.startswith("--") and name != "--to"
    }


def test_the_asset_on_top_is_materialized_with_its_pipeline(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "own-asset.md"
    (block,) = blocks(page, "yaml")
    small(place, block, "own")
    (code,) = blocks(page, "python")
    monkeypatch.setitem(sys.modules, "mine", type(sys)("mine"))
    names: dict[str, Any] = {"__name__": "mine"}
    exec(code, names)
    defs: dg.Definitions = names["defs"]
    (place / "storage").mkdir()
    with dg.DagsterInstance.local_temp(str(place / "storage")) as instance:
        done = defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
        assert done.success
        kept = done.get_asset_materialization_events()
    assert "short_captions" in {event.asset_key.path[-1] for event in kept if event.asset_key}
