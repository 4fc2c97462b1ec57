"""Each page of an everyday task: its pipelines are run, on models small enough for a test."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner

from dataflow_dagster import registry
from dataflow_dagster.cli.main import main
from dataflow_dagster.factory.standards import standards
from dataflow_dagster.schema.checks import Checks
from dataflow_dagster_tests.docs.pages import (
    coloured,
    commands_of,
    results,
    run,
    small,
    tell,
)
from dataflow_dagster_tests.docs.reading import DOCS, blocks
from dataflow_dagster_tests.engines.api_server import ApiServer
from dataflow_dagster_tests.toys.runs import materialize

pytest.importorskip("transformers", reason="pip install -e '.[local]'")
pytest.importorskip("diffusers", reason="pip install -e '.[local]'")

RUN_AS_THEY_ARE = ("add-a-model", "caption-a-folder", "draw-prompts", "gallery", "team")
"""Pages whose pipelines are run; the other tasks' have tests that do more than that."""

_OF_MEDIA = ("_pictures", "_videos")

PIPELINES = [
    pytest.param(page, block, id=f"{page.stem}-{number}")
    for page in (DOCS / f"{name}.md" for name in RUN_AS_THEY_ARE)
    for number, block in enumerate(b for b in blocks(page, "yaml") if "\nsteps:" in b)
]


@pytest.fixture
def own_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model that a page adds."""
    monkeypatch.setattr(registry, "_MODELS", {**registry.models()})
    (code,) = blocks(DOCS / "add-a-model.md", "python")
    exec(code, {"__name__": "my_models"})


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
    block, _ = blocks(page, "yaml")
    assert materialize(small(place, block)).success
    told = CliRunner().invoke(main, ["errors", "-c", "page.yaml"])
    shown = blocks(page, "text")[0]
    same = [line[:36] for line in told.stdout.splitlines()]
    assert same == [line[:36] for line in shown.splitlines()]
    again = materialize(small(place, block))
    assert again.success


@pytest.mark.slow
@pytest.mark.usefixtures("toys")
def test_failed_rows_alone_are_tried_again_and_what_is_left_over_is_cleaned(place: Path) -> None:
    block, _ = blocks(DOCS / "bad-rows.md", "yaml")
    *_, retry, _, clean = commands_of(DOCS / "bad-rows.md")
    table = "id,image\n1,scene-001.png\n2,scene-002.png\n3,gone.png\n"
    (place / "photos.csv").write_text(table)
    of = coloured(place, block, "broken", 4)
    assert materialize(of).success
    shutil.copy(place / "photos/scene-003.png", place / "photos/gone.png")
    (place / "photos.csv").write_text(table + "4,scene-004.png\n")
    tell(retry)
    assert ["dataflow_error" in row for row in results(of)] == [False] * 3
    assert materialize(of, recompute=True).success
    assert len(results(of)) == 4
    split = coloured(place, block + "shards: 2\n", "broken", 4)
    assert materialize(split, shards=[0, 1]).success
    whole = place / "work/broken/step_1_Toy_Namer/result.jsonl"
    assert whole.exists()
    cleaned = CliRunner().invoke(main, [*clean, "--yes"])
    assert (cleaned.exit_code, "removed" in cleaned.stdout) == (0, True), cleaned.output
    assert not whole.exists()


def test_the_checks_shown_are_those_of_the_step(place: Path) -> None:
    page = DOCS / "bad-rows.md"
    of = small(place, blocks(page, "yaml")[1])
    assert len(run(of)) == 4
    text = page.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|", text, flags=re.MULTILINE)
    told = {key: set(re.findall(r"`(\w+)`", cell)) for key, cell in rows}
    assert told.keys() == Checks.model_fields.keys() - {"blocking"}
    of_texts = {name for names in told.values() for name in names if not name.endswith(_OF_MEDIA)}
    assert of_texts == {check.name for check in standards(of.steps[0])}


@pytest.mark.slow
def test_the_gallery_is_written_where_it_is_told(place: Path) -> None:
    page = DOCS / "gallery.md"
    (block,) = blocks(page, "yaml")
    of = small(place, block, "seen")
    assert materialize(of).success
    _, _, quietly = commands_of(page)
    told = Path(tell(quietly).strip())
    assert told == Path("results/seen/gallery.html")
    shown = told.read_text(encoding="utf-8")
    assert shown.count("a red circle on a blue background") >= 2


def test_own_pipelines_merge_from_the_folder_of_the_code(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = DOCS / "own-project.md"
    (block,) = [block for block in blocks(page, "yaml") if "steps:" in block]
    for name in ("cats", "dogs"):
        (place / f"{name}.yaml").write_text(block.replace("cats", name))
    monkeypatch.setitem(sys.modules, "mine", type(sys)("mine"))
    (code,) = blocks(page, "python")
    names: dict[str, Any] = {"__name__": "mine", "__file__": str(place / "mine.py")}
    exec(code, names)
    keys = names["defs"].resolve_asset_graph().get_all_asset_keys()
    shown = {f"{name}/{asset}" for name in ("cats", "dogs") for asset in ("raw_meta", "captions")}
    assert shown <= {key.to_user_string() for key in keys}


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
