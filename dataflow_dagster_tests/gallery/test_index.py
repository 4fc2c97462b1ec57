from pathlib import Path

import dagster as dg
import pytest

from dataflow_dagster_tests.toys.pipelines import SHOUT, pipeline
from dataflow_dagster_tests.toys.runs import materialize

pytestmark = pytest.mark.usefixtures("toys")
ROWS = [{"id": str(n), "text": "bad" if n == 0 else "good"} for n in range(6)]


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def test_the_index_counts_every_shard_and_leads_to_it(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=ROWS, shards=3)
    assert materialize(of, instance=instance, shards=(0, 1)).success
    index = tmp_path / "demo/out/gallery.html"
    assert "2 shards, 4 rows, 1 failed" in index.read_text()
    assert materialize(of, instance=instance, shards=(2, 2)).success
    text = index.read_text()
    assert "3 shards, 6 rows, 1 failed" in text
    for key in ("00000-of-00003", "00002-of-00003"):
        assert f'<a href="./gallery/{key}.html">{key}</a>' in text
        page = (tmp_path / f"demo/out/gallery/{key}.html").read_text()
        assert '<a href="../gallery.html">demo</a>' in page


def test_an_unchanged_index_stays(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    of = pipeline(tmp_path, [SHOUT], rows=ROWS, shards=2)
    materialize(of, instance=instance, shards=(0, 1))
    before = (tmp_path / "demo/out/gallery.html").stat().st_ino
    materialize(of, instance=instance, shards=(0, 1))
    assert (tmp_path / "demo/out/gallery.html").stat().st_ino == before


def test_the_index_is_of_the_shards_that_the_yaml_names_now(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    index = tmp_path / "demo/out/gallery.html"
    for parts in (3, 2):
        of = pipeline(tmp_path, [SHOUT], rows=ROWS, shards=parts)
        assert materialize(of, instance=instance, shards=(0, parts - 1)).success
    assert "2 shards, 6 rows, 1 failed" in index.read_text()
    assert "-of-00003" not in index.read_text()
