from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dataflow_dagster.engines.checkpoint import revision
from dataflow_dagster.factory.checks import AssetChecks
from dataflow_dagster.factory.metadata import Story
from dataflow_dagster.io_managers.rows import Shards
from dataflow_dagster.ledger.manifest import Manifest, Tally
from dataflow_dagster.rows import Row
from dataflow_dagster.steps.layout import Layout
from dataflow_dagster_tests.engines.requests import LLAVA
from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline, write_rows
from dataflow_dagster_tests.toys.runs import materialize, told

pytestmark = pytest.mark.usefixtures("toys")


def _rows(count: int) -> list[Row]:
    return [
        {"id": str(n), "dataflow_id": str(n), "dataflow_texts": {"text": "x" * n}}
        for n in range(count)
    ]


def _shown(folder: Path, tally: Tally, *, engine: dict[str, str], **step: Any) -> dict[str, Any]:
    of = pipeline(folder, [{**SHOUT, **step}])
    shard = Layout(of).shard("texts")
    write_rows(shard.path, _rows(20))
    manifest = Manifest("f", "s", "v", shard.path.stat().st_size, tally, engine)
    checks = AssetChecks(dg.AssetKey(["demo", "texts"]), of, "texts")
    shown = Story(of, checks, Shards([])).of(shard, manifest)
    return {name: getattr(value, "value", value) for name, value in shown.items()}


def test_a_shard_shows_its_counts_its_place_and_a_few_rows(tmp_path: Path) -> None:
    tally = Tally(rows=20, computed=10, reused=7, failed=2, skipped=1, tokens=99, seconds=2.0)
    tally.kinds = {"bad_text": 2}
    engine = {"name": "toy", "version": "1.0", "precision": "float32", "device": "cpu"}
    shown = _shown(tmp_path, tally, engine=engine)
    assert (shown["dagster/row_count"], shown["computed"], shown["reused"]) == (20, 10, 7)
    assert (shown["failed"], shown["skipped"], shown["tokens"]) == (2, 1, 99)
    assert (shown["seconds"], shown["rows_per_second"]) == (2.0, 5.0)
    assert shown["engine"] == "toy 1.0, float32, cpu"
    assert shown["errors"] == "| kind | rows |\n| --- | --- |\n| bad\\_text | 2 |"
    assert shown["path"].endswith("step_1_Toy_Shouter/result.jsonl")
    assert len(str(shown["rows"]).splitlines()) == 10
    assert (shown["shortest_text"], shown["median_text"], shown["longest_text"]) == (0, 9, 19)
    assert "gpu_seconds" not in shown


def test_what_was_not_measured_is_not_shown(tmp_path: Path) -> None:
    shown = _shown(tmp_path, Tally(rows=20, reused=20), engine={})
    unmeasured = {"rows_per_second", "tokens", "engine", "errors", "gpu_seconds", "revision"}
    assert unmeasured & shown.keys() == set()


CAPTION: dict[str, Any] = {"type": "ImageCaptioner", "name": "LLaVACaptioner", "asset": "texts"}
HUB: dict[str, Any] = {"model_path": "llava-hf/llava-1.5-7b-hf"}
VLLM = {"name": "vllm", "version": "1", "precision": "float32", "device": "cpu"}


@pytest.mark.parametrize(
    ("config", "engine", "shown"),
    [
        ({"model_path": LLAVA}, VLLM, revision(LLAVA)[:12]),
        (HUB, {**VLLM, "revision": "0123456789abcdef"}, "0123456789ab"),
        ({**HUB, "revision": "v1"}, {**VLLM, "revision": "0123456789abcdef"}, "0123456789ab"),
        ({**HUB, "revision": "v1-of-a-long-name"}, {}, "v1-of-a-long-name"),
        (HUB, {}, None),
    ],
    ids=["folder", "hub", "tag", "reused", "reused main"],
)
def test_the_weights_that_answered_are_shown_by_their_revision(
    tmp_path: Path, config: dict[str, Any], engine: dict[str, str], shown: str | None
) -> None:
    told = _shown(tmp_path, Tally(rows=20, computed=20), engine=engine, **CAPTION, config=config)
    assert told.get("revision") == shown
    assert told["model"] == config["model_path"]


def test_what_an_api_would_not_take_is_shown(tmp_path: Path) -> None:
    engine = {"name": "openai", "version": "1", "precision": "as served", "device": "remote"}
    shown = _shown(tmp_path, Tally(rows=20), engine={**engine, "not_sent": "temperature: no"})
    assert shown["not_sent"] == "temperature: no"


def test_gpu_seconds_are_those_of_all_gpus_leased(tmp_path: Path) -> None:
    engine = {"name": "toy", "version": "1.0", "precision": "float32", "device": "cuda"}
    tally = Tally(rows=20, computed=20, seconds=2.5)
    leased = _shown(tmp_path, tally, engine=engine, resources={"gpus": 4})
    assert leased["gpu_seconds"] == 10.0
    assert _shown(tmp_path, tally, engine=engine)["gpu_seconds"] == 2.5


def test_every_asset_shows_its_columns_and_failed_rows_with_a_reason(tmp_path: Path) -> None:
    rows = [{"id": "1", "text": "bad"}, {"id": "2", "text": "good", "size": 3}]
    result = materialize(pipeline(tmp_path, [SHOUT], rows=rows))
    schema = told(result, "demo", "texts")["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    types = {column.name: column.type for column in schema.columns}
    assert (types["id"], types["size"], types["dataflow_texts"]) == ("text", "int", "object")
    assert "| 1 | bad\\_text | bad is bad |" in told(result, "demo", "texts")["failed_rows"]
    assert "dataflow_error" in {
        c.name for c in told(result, "demo", "results")["dagster/column_schema"].columns
    }
