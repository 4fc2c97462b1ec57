from pathlib import Path

import pytest

from dataflow_dagster.ledger.manifest import Manifest, Tally, read_manifest, sum_of


def manifest() -> Manifest:
    tally = Tally(rows=6, computed=2, reused=1, failed=1, skipped=1, passed=1, kinds={"k": 1})
    return Manifest("f", "s", "d", 10, tally, {"name": "probe"})


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest().write(tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.json") == manifest()
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b'{"tally": {"unknown": 1}}', b"\xff"]
)
def test_a_damaged_manifest_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.json").write_bytes(content)
    assert read_manifest(tmp_path / "m.json") is None


def test_a_shard_found_whole_counts_its_computed_rows_as_reused() -> None:
    tally = manifest().all_reused().tally
    assert (tally.rows, tally.computed, tally.reused) == (6, 0, 3)
    assert (tally.failed, tally.skipped, tally.passed) == (1, 1, 1)


def test_tallies_add_up_and_none_of_them_changes() -> None:
    one, two = Tally(rows=1, kinds={"a": 1}), Tally(rows=2, failed=2, kinds={"a": 1, "b": 1})
    total = sum_of([one, two])
    assert (total.rows, total.failed, total.kinds) == (3, 2, {"a": 2, "b": 1})
    assert one == Tally(rows=1, kinds={"a": 1})
    assert sum_of([]) == Tally()
