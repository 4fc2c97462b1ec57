from pathlib import Path

import pytest

from dataflow_dagster.ledger.manifest import Tally
from dataflow_dagster.ledger.shard import BrokenShardError, Shard, source_version


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    shard = Shard(tmp_path / "result.jsonl")
    shard.path.write_bytes(b'{"n":1}\n{"n":2}\n')
    return shard


def leave_manifest(shard: Shard) -> None:
    shard.leave_manifest(fingerprint="f", source="s", data_version="d", tally=Tally(rows=2))


def test_a_partition_lies_one_folder_below_its_step(tmp_path: Path) -> None:
    alone = Shard(tmp_path / "step/result.jsonl")
    part = Shard(tmp_path / "step/result/00003-of-00008.jsonl", "00003-of-00008")
    assert alone.folder == part.folder == tmp_path / "step"
    assert part.part_path.name == "00003-of-00008.part"
    assert part.manifest_path.name == "00003-of-00008.manifest.json"


def test_a_shard_is_whole_while_its_file_is_as_its_manifest_says(shard: Shard) -> None:
    assert shard.manifest() is None
    leave_manifest(shard)
    manifest = shard.manifest()
    assert manifest is not None
    assert (manifest.size, manifest.engine) == (16, {})
    shard.path.write_bytes(b'{"n":1}\n')
    assert shard.manifest() is None
    shard.path.unlink()
    assert shard.manifest() is None


def test_a_damaged_line_says_how_to_make_the_shard_anew(shard: Shard) -> None:
    shard.path.write_bytes(b'{"n":1}\n{"n":')
    with pytest.raises(BrokenShardError, match=r"line 2.*delete it and materialize again"):
        list(shard.rows())


def test_a_missing_shard_says_what_to_materialize(tmp_path: Path) -> None:
    with pytest.raises(BrokenShardError, match="materialize the asset above first"):
        list(Shard(tmp_path / "none.jsonl").rows())
    with pytest.raises(BrokenShardError, match="materialize the asset above first"):
        source_version(Shard(tmp_path / "none.jsonl"))


def test_the_source_version_is_the_data_version_where_it_is_known(shard: Shard) -> None:
    unknown = source_version(shard)
    assert unknown.startswith("16-")
    leave_manifest(shard)
    assert source_version(shard) == "d"


def test_a_source_that_was_cut_is_not_read_as_if_it_were_whole(shard: Shard) -> None:
    leave_manifest(shard)
    shard.path.write_bytes(b'{"n":1}\n')
    with pytest.raises(BrokenShardError, match="8 bytes where 16 were written"):
        source_version(shard)
    shard.manifest_path.unlink()
    assert source_version(shard).startswith("8-")
