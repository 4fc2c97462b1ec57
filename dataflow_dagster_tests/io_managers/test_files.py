"""A step's rows in a user's own assets, and a user's own rows on disk: by real runs."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataflow_dagster import Shard, Shards
from dataflow_dagster.factory.assets import PipelineAssets
from dataflow_dagster.io_managers.files import (
    ImagesIOManager,
    JsonlIOManager,
    ParquetImagesIOManager,
    ParquetIOManager,
)
from dataflow_dagster.io_managers.pictures import LazyPicture
from dataflow_dagster.schema.pipeline import PipelineSpec
from dataflow_dagster_tests.toys.pipelines import PAINT, SHOUT, pipeline, read_rows, text_rows
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")

TEXTS = dg.AssetKey(["demo", "texts"])
IMAGES = dg.AssetKey(["demo", "generated_images"])
SHOUTED = ["ROW 0", "ROW 1", "ROW 2", "ROW 3"]


def _given(
    of: PipelineSpec, wanted: Any, *, key: dg.AssetKey = TEXTS, partition: str | None = None
) -> Any:
    """What a user's asset gets that hangs on `key` and annotates its input as `wanted`."""
    got: list[Any] = []

    def own(rows: Any) -> None:
        got.append(rows)

    own.__annotations__ = {"return": None} if wanted is None else {"rows": wanted, "return": None}
    partitions = PipelineAssets(of).build()[0].partitions_def if partition else None
    asset = dg.asset(ins={"rows": dg.AssetIn(key=key)}, partitions_def=partitions)(own)
    result = materialize(of, assets=[], more=[asset], partition_key=partition)
    if not result.success:
        raise AssertionError(_reason(result))
    return got[0]


def _reason(result: dg.ExecuteInProcessResult) -> str:
    (event,) = (event for event in result.all_events if event.is_step_failure)
    error = event.step_failure_data.error
    assert error is not None
    return f"{error.message}{error.cause.message if error.cause else ''}"


@pytest.fixture(params=["jsonl", "parquet"])
def ready(request: pytest.FixtureRequest, tmp_path: Path) -> PipelineSpec:
    """A pipeline whose texts and pictures stand, in either format."""
    of = pipeline(tmp_path, [SHOUT, PAINT], format=request.param)
    assert materialize(of).success
    return of


@pytest.fixture
def sharded(tmp_path: Path) -> PipelineSpec:
    of = pipeline(tmp_path, [SHOUT], shards=2)
    for key in ("00000-of-00002", "00001-of-00002"):
        assert materialize(of, partition_key=key).success
    return of


def _texts(rows: Any) -> list[str]:
    return [row["dataflow_text"] for row in rows]


def test_rows_come_as_the_annotation_asks(ready: PipelineSpec) -> None:
    assert _texts(_given(ready, list[dict[str, Any]])) == SHOUTED
    assert _texts(_given(ready, list[dict])) == SHOUTED
    assert _texts(_given(ready, None)) == SHOUTED
    assert _texts(_given(ready, Shard).rows()) == SHOUTED
    assert _texts(_given(ready, Shards)[None].rows()) == SHOUTED
    table = _given(ready, pa.Table)
    assert isinstance(table, pa.Table)
    assert table["dataflow_text"].to_pylist() == SHOUTED
    frame = _given(ready, pd.DataFrame)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["dataflow_text"]) == SHOUTED


def test_one_partition_comes_alone(sharded: PipelineSpec) -> None:
    key = "00001-of-00002"
    assert _texts(_given(sharded, list[dict], partition=key)) == SHOUTED[2:]
    shard = _given(sharded, Shard, partition=key)
    assert (shard.key, shard.path.name) == (key, f"{key}.jsonl")
    by_key = _given(sharded, dict[str, pd.DataFrame], partition=key)
    assert list(by_key) == [key]


def test_all_partitions_come_one_after_the_other(sharded: PipelineSpec) -> None:
    assert _texts(_given(sharded, list[dict])) == SHOUTED
    assert _given(sharded, pa.Table)["dataflow_text"].to_pylist() == SHOUTED
    assert list(_given(sharded, pd.DataFrame)["dataflow_text"]) == SHOUTED
    assert list(_given(sharded, Shards)) == ["00000-of-00002", "00001-of-00002"]
    frames = _given(sharded, dict[str, pd.DataFrame])
    assert {key: list(frame["dataflow_text"]) for key, frame in frames.items()} == {
        "00000-of-00002": SHOUTED[:2],
        "00001-of-00002": SHOUTED[2:],
    }


def test_many_partitions_are_no_shard(sharded: PipelineSpec) -> None:
    with pytest.raises(AssertionError, match="a Shard is one partition, 2 are asked for"):
        _given(sharded, Shard)


def test_rows_of_pictures_bring_pictures_that_open_late(ready: PipelineSpec) -> None:
    rows = _given(ready, list[dict], key=IMAGES)
    assert isinstance(rows[0]["dataflow_picture"], LazyPicture)
    assert rows[0]["dataflow_picture"].open().size == (8, 8)
    assert list(_given(ready, pd.DataFrame, key=IMAGES)["id"]) == list("0123")


def test_an_annotation_that_rows_do_not_fit_is_refused(ready: PipelineSpec) -> None:
    with pytest.raises(AssertionError, match="rows cannot be loaded as <class 'str'>: annotate"):
        _given(ready, str)


def test_rows_that_are_not_there_say_what_to_materialize(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT])
    with pytest.raises(AssertionError, match="is missing: materialize demo/texts first"):
        _given(of, list[dict])


def test_a_missing_partition_is_an_error_that_names_it(sharded: PipelineSpec) -> None:
    base = Path(sharded.base_folder) / "step_1_Toy_Shouter/result"
    (base / "00001-of-00002.jsonl").unlink()
    with pytest.raises(AssertionError, match=r"00001-of-00002\.jsonl is missing: materialize"):
        _given(sharded, list[dict])


VALUES = {
    "rows": [{"id": 1, "text": "ä", "nested": {"a": [1, None]}}, {"id": 2, "text": None}],
    "table": pa.table({"id": [1, 2], "text": ["ä", None]}),
    "frame": pd.DataFrame({"id": [1, 2], "text": ["ä", None]}),
}


@pytest.mark.parametrize("made", VALUES)
@pytest.mark.parametrize("manager", [JsonlIOManager, ParquetIOManager])
def test_what_a_users_asset_returns_is_read_by_the_next(
    tmp_path: Path, made: str, manager: type[JsonlIOManager | ParquetIOManager]
) -> None:
    got: list[Any] = []

    @dg.asset
    def mine() -> Any:
        return VALUES[made]

    @dg.asset
    def next_one(mine: list[dict]) -> None:
        got.extend(mine)

    io = manager(base_folder=str(tmp_path))
    assert dg.materialize([mine, next_one], resources={"io_manager": io}).success
    assert [(row["id"], row["text"]) for row in got] == [(1, "ä"), (2, None)]
    assert [path.name for path in tmp_path.iterdir()] == [f"mine{io.extension}"]


def test_partitions_of_a_users_asset_are_files_of_their_own(tmp_path: Path) -> None:
    parts = dg.StaticPartitionsDefinition(["a", "b"])
    got: list[Any] = []

    @dg.asset(partitions_def=parts, backfill_policy=dg.BackfillPolicy.single_run())
    def mine(context: dg.AssetExecutionContext) -> Any:
        return {key: [{"key": key}] for key in context.partition_keys}

    @dg.asset
    def next_one(mine: dict[str, list[dict]]) -> None:
        got.append(mine)

    io = JsonlIOManager(base_folder=str(tmp_path / "base"))
    range_tag = "dagster/asset_partition_range_"
    tags = {f"{range_tag}start": "a", f"{range_tag}end": "b"}
    with dg.DagsterInstance.ephemeral() as instance:
        for assets, selected, its_tags in (([mine], mine, tags), ([mine, next_one], next_one, {})):
            assert dg.materialize(
                assets,
                selection=[selected],
                instance=instance,
                tags=its_tags,
                resources={"io_manager": io},
            ).success
    assert read_rows(tmp_path / "base/mine/b.jsonl") == [{"key": "b"}]
    assert got == [{"a": [{"key": "a"}], "b": [{"key": "b"}]}]


def test_a_list_for_several_partitions_is_told_to_be_a_dict(tmp_path: Path) -> None:
    parts = dg.StaticPartitionsDefinition(["a", "b"])

    @dg.asset(partitions_def=parts, backfill_policy=dg.BackfillPolicy.single_run())
    def mine() -> Any:
        return [{"id": 1}]

    range_tag = "dagster/asset_partition_range_"
    result = dg.materialize(
        [mine],
        tags={f"{range_tag}start": "a", f"{range_tag}end": "b"},
        resources={"io_manager": JsonlIOManager(base_folder=str(tmp_path))},
        raise_on_error=False,
    )
    assert "return a dict of rows by partition key (a, ...)" in _reason(result)


@pytest.mark.parametrize("manager", [ImagesIOManager, ParquetImagesIOManager])
def test_pictures_in_a_users_rows_are_saved_beside_them(
    tmp_path: Path, manager: type[ImagesIOManager | ParquetImagesIOManager]
) -> None:
    got: list[Any] = []

    @dg.asset
    def mine() -> Any:
        return [{"id": "1", "dataflow_image": Image.new("RGB", (3, 2), "red")}, {"id": "2"}]

    @dg.asset
    def next_one(mine: list[dict]) -> None:
        got.extend(mine)

    io = manager(base_folder=str(tmp_path))
    assert dg.materialize([mine, next_one], resources={"io_manager": io}).success
    assert (tmp_path / "mine_pictures/000000_dataflow_image.png").is_file()
    assert got[0]["dataflow_picture"].open().getpixel((0, 0)) == (255, 0, 0)
    assert got[1]["dataflow_picture"] is None


@pytest.mark.parametrize("manager", [JsonlIOManager, ParquetIOManager])
def test_an_interrupted_write_leaves_the_old_file_and_no_half_one(
    tmp_path: Path, manager: type[JsonlIOManager | ParquetIOManager]
) -> None:
    broken: list[bool] = []

    @dg.asset
    def mine() -> Any:
        return _breaking_rows() if broken else [{"id": 0}]

    io = manager(base_folder=str(tmp_path))
    assert dg.materialize([mine], resources={"io_manager": io}).success
    whole = tmp_path / f"mine{io.extension}"
    before = whole.read_bytes()
    broken.append(True)
    assert not dg.materialize([mine], resources={"io_manager": io}, raise_on_error=False).success
    assert whole.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [whole.name]


def _breaking_rows() -> list[Any]:
    return [{"id": 1}, "no row"]


def test_a_value_that_is_no_rows_is_refused(tmp_path: Path) -> None:
    @dg.asset
    def mine() -> Any:
        return 5

    io = JsonlIOManager(base_folder=str(tmp_path))
    result = dg.materialize([mine], resources={"io_manager": io}, raise_on_error=False)
    assert "a int cannot be written as rows: return a pa.Table" in _reason(result)
    assert list(tmp_path.iterdir()) == []


def test_parquet_rows_of_a_step_are_a_plain_parquet_file(tmp_path: Path) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=text_rows(3), format="parquet")
    assert materialize(of).success
    assert pq.read_table(tmp_path / "demo/out/result.parquet")["text"].to_pylist() == SHOUTED[:3]
