from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dataflow_dagster import registry
from dataflow_dagster.cli.main import main
from dataflow_dagster.ledger.keys import Origin
from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster_tests.steps import probes
from dataflow_dagster_tests.steps.driving import Ground, draw, files, many, step
from dataflow_dagster_tests.toys.pipelines import FILM


@pytest.fixture(autouse=True)
def known_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", {**registry.models()})
    probes.register()


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    ground = Ground(tmp_path)
    many(ground)
    return ground


def clean(ground: Ground, *steps: dict[str, Any], yes: bool = True, **keys: Any) -> Result:
    ground.pipeline(*steps, **keys)  # which gives the steps their log
    said = {
        "name": "probes",
        "meta_path": str(ground.source / "rows.jsonl"),
        "base_folder": str(ground.folder / "base"),
        "save_folder": str(ground.folder / "out"),
        **keys,
        "steps": list(steps),
    }
    path = ground.folder / "probes.yaml"
    path.write_text(yaml.safe_dump(said))
    options = ["--yes"] if yes else []
    return CliRunner().invoke(main, ["clean", "--config", str(path), *options])


def names(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in paths if "index" not in path.name}


STEPS = step("Dice", output_key="dice"), step("Paint", input_key="text")


def test_after_cleaning_a_run_computes_nothing_and_nothing_else_is_left(
    ground: Ground, tmp_path: Path
) -> None:
    changes: tuple[dict[str, Any], ...] = {}, {"shards": 3}, {"shards": 4, "format": "parquet"}
    for keys in changes:
        ground.run(step("Upper"), *STEPS, **keys)
        ground.run(step("Dice", output_key="dice", prompt="!"), STEPS[1], **keys)
    rows = ground.run(*STEPS, shards=2).rows()
    before = names(tmp_path)
    done = clean(ground, *STEPS, shards=2)
    assert done.exit_code == 0, done.output
    assert "of a step that is not in the YAML" in done.output
    assert "its answers stand in the current shards" in done.output
    assert len(before - names(tmp_path)) > 30
    again = ground.run(*STEPS, shards=2)
    assert ground.opened() == 0
    assert again.rows() == rows
    (tmp_path / "fresh").mkdir()
    fresh = Ground(tmp_path / "fresh")
    many(fresh)
    fresh.run(*STEPS, shards=2)
    assert names(ground.folder / "base") == names(fresh.folder / "base")


def test_answers_that_the_yaml_can_still_use_stay(ground: Ground) -> None:
    ground.run(step("Upper"), *STEPS, shards=3)
    done = clean(ground, *STEPS)
    assert done.exit_code == 0, done.output
    ground.run(*STEPS)
    assert ground.opened() == 0


def test_a_changed_input_keeps_answers_until_it_is_run(ground: Ground) -> None:
    ground.run(*STEPS)
    ground.run(*STEPS, shards=2)
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(3)))
    ground.run(*STEPS, shards=2)
    many(ground)
    clean(ground, *STEPS, shards=2)
    ground.run(*STEPS, shards=2)
    assert ground.opened() == 0


def test_pictures_no_row_names_go_and_the_source_stays(ground: Ground) -> None:
    ground.run(*STEPS)
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(3)))
    ground.run(*STEPS)
    before = files(ground.source)
    done = clean(ground, *STEPS)
    assert done.output.count("a picture that no row names") == 18  # with those saved
    assert files(ground.source) == before
    assert len(list(ground.folder.rglob("*.png"))) == 6
    ground.run(*STEPS)
    assert ground.opened() == 0


def test_nothing_goes_without_a_yes(ground: Ground) -> None:
    ground.run(*STEPS)
    ground.run(*STEPS, shards=2)
    before = names(ground.folder)
    assert "Remove them?" in clean(ground, *STEPS, yes=False, shards=2).output
    assert names(ground.folder) - {"probes.yaml"} == before - {"probes.yaml"}


def test_a_shard_that_is_being_written_stays(ground: Ground) -> None:
    ground.run(*STEPS, shards=2)
    pipeline = ground.run(*STEPS).pipeline
    live = Layout(ground.pipeline(*STEPS, shards=5)).shard("texts", "00001-of-00005")
    with PartWriter(live, Origin("x", "texts")) as part:
        part.append(0, {})
        part.flush()
        clean(ground, *STEPS)
        assert live.part_path.exists()
        assert live.owner_path.exists()
    assert Layout(pipeline).shard("texts").path.exists()


def test_folders_that_are_no_steps_and_hold_the_source_stay(ground: Ground) -> None:
    ground.run(*STEPS)
    kept = [ground.folder / "base" / name for name in ("mine/result.jsonl", "step_x/result.jsonl")]
    kept += [ground.folder / "base/step_1_Probe_Dice/notes.txt", ground.folder / "out/other.jsonl"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}\n")
    source = ground.folder / "base/step_7_Probe_Old"
    source.mkdir()
    (ground.source / "rows.jsonl").rename(source / "rows.jsonl")
    ground.source = source
    ground.run(*STEPS)
    clean(ground, *STEPS)
    assert all(path.exists() for path in [*kept, source / "rows.jsonl"])


@pytest.mark.parametrize("keys", [{}, {"shards": 2}])
def test_answers_of_another_prompt_are_shown_and_stay_until_they_are_cleaned(
    ground: Ground, keys: dict[str, Any]
) -> None:
    ground.run(step("Upper", prompt="A "), **keys)
    ground.run(step("Upper", prompt="B "), **keys)
    ground.run(step("Upper", prompt="A "), **keys)
    assert ground.opened() == 0
    done = clean(ground, step("Upper", prompt="A "), **keys)
    assert done.output.count("answers under other settings") == 2 * keys.get("shards", 1)
    assert list(ground.folder.rglob("*.before*")) == []
    ground.run(step("Upper", prompt="A "), **keys)
    assert ground.opened() == 0


@pytest.mark.usefixtures("toys")
def test_clips_that_rows_name_stay(ground: Ground) -> None:
    ground.run(FILM)
    before = names(ground.folder)
    assert clean(ground, FILM).output.endswith("0  bytes in 0 files\n")
    ground.rows({"id": 0, "text": "t0"})
    ground.run(FILM)
    assert clean(ground, FILM).output.count("that no row names") == 22
    kept = {name for name in names(ground.folder) if name.endswith(".mp4")}
    assert len(kept) == 2
    assert kept < before


def test_what_another_split_left_beside_the_results_goes(ground: Ground) -> None:
    ground.run(step("Upper", refuses=["t3"]), shards=2)
    for name in (
        "gallery/00000-of-00002.html",
        "gallery/00000-of-00002.html.123.part",
        "gallery/00000-of-00002_failed/00001.js",
        "errors/00001-of-00002.jsonl.part",
    ):
        page = ground.folder / "out" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("old")
    own = ground.folder / "out/errors/notes.txt"
    own.write_text("the user's own")
    ground.run(step("Upper"))
    done = clean(ground, step("Upper"))
    assert done.exit_code == 0, done.output
    left = {name for name in names(ground.folder / "out") if not name.endswith(".manifest.json")}
    assert left == {"result.jsonl", "errors/notes.txt"}


def test_what_we_did_not_make_stays_whatever_its_name(ground: Ground) -> None:
    base, out = ground.folder / "base", ground.folder / "out"
    photos = [draw(base / "step_9_photos" / f"{n}.png") for n in range(2)]
    ground.rows(*({"id": n, "text": "t", "image": str(path)} for n, path in enumerate(photos)))
    ground.run(step("Upper"), *STEPS)
    ground.run(*STEPS)
    mine = [
        out / "generated_images/mine.png",
        base / "step_2_Probe_Paint/generated_images/mine.png",
        base / "step_1_Probe_Upper/holiday.png",
        base / "step_8_notes/result.jsonl",
        out / "result/00000-of-00007.jsonl",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    done = clean(ground, *STEPS)
    assert "step_1_Probe_Upper/result.jsonl" in done.output
    assert all(path.exists() for path in [*photos, *mine])
    assert not any(path.name in done.output for path in [*photos, *mine[:3]])


def test_drawings_that_the_input_names_now_stay(ground: Ground) -> None:
    old = step("Paint", input_key="text")
    ground.run(old)
    drawn = sorted((ground.folder / "base/step_1_Probe_Paint/generated_images").iterdir())
    ground.rows(*({"id": path.name, "image": str(path)} for path in drawn[:2]))
    ground.run(step("Look"))
    done = clean(ground, step("Look"))
    assert done.exit_code == 0, done.output
    assert [path.exists() for path in drawn] == [True] * 2 + [False] * 10


def test_folders_of_another_pipeline_are_left_alone(ground: Ground) -> None:
    ground.run(step("Upper"), *STEPS, name="other", save_folder=str(ground.folder / "theirs"))
    theirs = names(ground.folder / "base")
    (ground.folder / "base/step_0_preprocess_format").rename(ground.folder / "kept")
    ground.run(*STEPS, name="probes")
    done = clean(ground, *STEPS, name="probes")
    assert done.exit_code == 0, done.output
    upper = ground.folder / "base/step_1_Probe_Upper"
    assert f"left alone: {upper} (of the pipeline 'other')" in done.output
    left = {name for name in theirs if "step_0" not in name}
    assert left <= names(ground.folder / "base")


def test_a_folder_that_no_note_gives_a_pipeline_is_left_alone(ground: Ground) -> None:
    ground.run(step("Upper"), *STEPS)
    manifest = ground.folder / "base/step_1_Probe_Upper/result.manifest.json"
    manifest.write_text(manifest.read_text().replace('"pipeline":"probes"', '"pipeline":""'))
    ground.run(*STEPS)
    done = clean(ground, *STEPS)
    assert "(no note in it names its pipeline)" in done.output
    assert (manifest.parent / "result.jsonl").exists()
