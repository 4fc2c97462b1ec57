"""Dagster's runs and all commands on a pipeline whose folders lie in a real S3 server's bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from dataflow_dagster import Shard
from dataflow_dagster.cli.main import main
from dataflow_dagster.rows import decode
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster.stores import mirrors
from dataflow_dagster_tests.object_store import Machines, bucket, hurry, serve_s3, stored
from dataflow_dagster_tests.steps.driving import draw
from dataflow_dagster_tests.toys.pipelines import pipeline, write_rows
from dataflow_dagster_tests.toys.runs import failure_of, materialize, told

pytestmark = pytest.mark.usefixtures("toys")

STORE = {"base_folder": "s3://bucket/base", "save_folder": "s3://bucket/out"}
CAPTION = {"type": "Toy", "name": "Namer"}
PAINT = {"type": "Toy", "name": "Painter"}


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve_s3(tmp_path_factory.mktemp("s3"))


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    return bucket(s3_server, monkeypatch)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    hurry(monkeypatch)
    return Machines(tmp_path, monkeypatch)


def captioned(folder: Path, **keys: Any) -> PipelineSpec:
    """Pictures of three colours, one of them without a name, captioned and drawn anew."""
    colors = [("red", (255, 0, 0)), ("blue", (0, 0, 255)), ("grey", (9, 9, 9))]
    for name, color in colors:
        draw(folder / f"in/{name}.png", color)
    rows = [{"id": n, "image": f"{name}.png"} for n, (name, _) in enumerate(colors)]
    meta = write_rows(folder / "in/rows.jsonl", rows)
    return pipeline(folder, [CAPTION, PAINT], meta_path=str(meta), **keys)


def command(of: PipelineSpec, *arguments: str) -> Result:
    return CliRunner().invoke(main, [arguments[0], "-c", str(of.path), *arguments[1:]])


def test_every_command_works_on_another_machine(
    tmp_path: Path, s3: Any, machines: Machines
) -> None:
    disk = captioned(tmp_path)
    assert materialize(disk).success
    whole = (tmp_path / "demo/out/result.jsonl").read_bytes()
    of = captioned(tmp_path, **STORE)
    result = materialize(of)
    assert result.success
    assert stored(s3, "out")["result.jsonl"] == whole
    shown = told(result, "demo", "generated_images")
    assert shown["path"] == "s3://bucket/base/step_2_Toy_Painter/result.jsonl"
    assert shown["pictures"].count("data:image/jpeg") == 2
    assert told(result, "demo", "results")["gallery"] == "s3://bucket/out/gallery.html"
    machines.new()
    _errors_are_listed(of)
    _export_is_whole(of, tmp_path)
    _gallery_is_brought(of, machines)
    _check_tells(of)


def _errors_are_listed(of: PipelineSpec) -> None:
    done = command(of, "errors", "--json")
    assert done.exit_code == 0, done.output
    (line,) = done.stdout.splitlines()
    assert decode(line.encode())["kind"] == "unknown_color"


def _export_is_whole(of: PipelineSpec, folder: Path) -> None:
    dest = folder / "export"
    done = command(of, "export", "--to", "parquet", "--pictures", "bytes", str(dest))
    assert done.exit_code == 0, done.output
    table = pq.read_table(dest / "part-00000.parquet")
    assert table.num_rows == 2
    assert all(content.startswith(b"\x89PNG") for content in table["image_bytes"].to_pylist())
    assert command(of, "export", "--to", "parquet", str(folder / "paths")).exit_code == 0
    paths = pq.read_table(folder / "paths/part-00000.parquet")["image"].to_pylist()
    assert paths[0] == "s3://bucket/out/generated_images/red_generated.png"


def _gallery_is_brought(of: PipelineSpec, machines: Machines) -> None:
    done = command(of, "gallery", "--no-open")
    assert done.exit_code == 0, done.output
    url, page = done.output.split()
    assert url == "s3://bucket/out/gallery.html"
    assert (Path(page).parent / "generated_images/red_generated.png").is_file()


def _check_tells(of: PipelineSpec) -> None:
    assert command(of, "check").exit_code == 0
    elsewhere = of.path.read_text().replace("s3://bucket/base", "s3://none/base")
    of.path.write_text(elsewhere)
    done = command(of, "check")
    assert done.exit_code == 2
    assert "s3://none/base" in done.output
    assert "bucket does not exist" in done.output


def test_a_users_own_assets_read_and_write_in_a_store(
    tmp_path: Path, s3: Any, machines: Machines
) -> None:
    of = captioned(tmp_path, **STORE)
    assert materialize(of).success
    machines.new()
    got: list[Any] = []
    above = {"rows": dg.AssetIn(key=dg.AssetKey(["demo", "captions"]))}
    drawn = {"rows": dg.AssetIn(key=dg.AssetKey(["demo", "generated_images"]))}

    @dg.asset(ins=above)
    def framed(rows: pd.DataFrame) -> None:
        got.append(list(rows["dataflow_text"][:2]))

    @dg.asset(ins=above)
    def streamed(rows: Shard) -> None:
        got.append(sum(1 for _ in rows.rows()))

    @dg.asset(ins=drawn)
    def seen(rows: list) -> None:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
        got.append(rows[0]["dataflow_picture"].open().getpixel((0, 0)))

    @dg.asset(io_manager_key="own")
    def own() -> list[dict[str, Any]]:
        return [{"a": 1}]

    @dg.asset
    def after(own: pd.DataFrame) -> None:
        got.append(list(own["a"]))

    more = [framed, streamed, seen]
    assert materialize(of, assets=[], more=more).success
    assert sorted(map(str, got)) == sorted(["['a red', 'a blue']", "3", "(255, 0, 0)"])
    from dataflow_dagster.io_managers.files import JsonlIOManager

    result = dg.materialize(
        [own, after], resources={"own": JsonlIOManager(base_folder="s3://bucket/own")}
    )
    assert result.success
    assert stored(s3, "own") == {"own.jsonl": b'{"a":1}\n'}
    (event,) = result.asset_materializations_for_node("own")
    assert event.metadata["path"].value == "s3://bucket/own/own.jsonl"


def test_clean_shows_and_removes_what_no_step_can_use_of_a_store(
    tmp_path: Path, s3: Any, machines: Machines
) -> None:
    assert materialize(captioned(tmp_path, shards=2, **STORE), shards=(0, 1)).success
    of = captioned(tmp_path, **STORE)
    assert materialize(of).success
    s3.pipe("bucket/out/generated_images/old.png", b"old")
    s3.pipe("bucket/out/generated_images/mine.png", b"mine")
    named = b'{"dataflow_generated_images": {"image": "generated_images/old.png"}}\n'
    s3.pipe("bucket/base/step_2_Toy_Painter/result.part-generated_images-x-000000", named)
    machines.new()
    done = command(of, "clean", "--yes")
    assert done.exit_code == 0, done.output
    for gone in ("out/gallery/00000-of-00002.html", "out/generated_images/old.png", "x-000000"):
        assert gone in done.output
        assert gone.rpartition("/")[2] not in " ".join([*stored(s3, "out"), *stored(s3, "base")])
    assert not [name for name in [*stored(s3, "out"), *stored(s3, "base")] if "-of-" in name]
    assert "mine.png" in " ".join(stored(s3, "out"))
    machines.new()
    again = materialize(of)
    assert told(again, "demo", "generated_images")["reused"] == 2
    assert "2 files" not in command(of, "clean", "--yes").output


def test_dynamic_shards_are_known_to_all_machines(
    tmp_path: Path, s3: Any, machines: Machines
) -> None:
    from dataflow_dagster.steps.file_input import file_keys, register_files

    for name in ("a", "b"):
        write_rows(tmp_path / f"in/{name}.jsonl", [{"id": name, "text": "red"}])
    of = pipeline(tmp_path, [PAINT], meta_path=str(tmp_path / "in"), files_per_shard=1, **STORE)
    assert register_files(of) == ["00000-a", "00001-b"]
    machines.new()
    assert file_keys(of) == ["00000-a", "00001-b"]
    write_rows(tmp_path / "in/c.jsonl", [{"id": "c", "text": "blue"}])
    assert register_files(of) == ["00002-c"]
    machines.use(0)
    assert file_keys(of) == ["00000-a", "00001-b", "00002-c"]
    instance = dg.DagsterInstance.ephemeral()
    instance.add_dynamic_partitions("demo_files", file_keys(of))
    assert materialize(of, instance=instance, keys=file_keys(of)).success
    assert [name for name in stored(s3, "out/result") if name.endswith("jsonl")] == [
        f"{key}.jsonl" for key in file_keys(of)
    ]


def test_a_store_that_refuses_is_told_as_the_step_begins(
    tmp_path: Path, s3: Any, machines: Machines
) -> None:
    for key in STORE:
        result = materialize(captioned(tmp_path, **{**STORE, key: "s3://none/x"}))
        assert failure_of(result, "demo__raw_meta").startswith("StoreError: s3://none/x/")
    assert not list(mirrors.local("s3://none/x").rglob("*.json"))
