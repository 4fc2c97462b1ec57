import fcntl
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_dagster.ledger.ownership import ShardBusyError
from dataflow_dagster.ledger.part import PartWriter, RowsMismatchError, tidy
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import decode


@pytest.fixture(params=["jsonl", "parquet"])
def shard(tmp_path: Path, request: pytest.FixtureRequest) -> Shard:
    return Shard(tmp_path / f"result.{request.param}")


def test_rows_that_arrive_in_any_order_are_put_in_order(shard: Shard) -> None:
    with PartWriter(shard) as part:
        for number in (3, 0, 2, 1):
            part.append(number, {"n": number})
        part.finish(4)
    assert [row["n"] for row in shard.rows()] == [0, 1, 2, 3]
    assert [path.name for path in shard.path.parent.iterdir()] == [shard.path.name]


def test_the_order_of_arrival_does_not_change_the_data_version(tmp_path: Path) -> None:
    versions: set[str] = set()
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        with PartWriter(Shard(tmp_path / f"{name}.jsonl")) as part:
            for number in order:
                part.append(number, {"n": number})
            versions.add(part.finish(3))
    assert len(versions) == 1


def test_a_shard_may_have_no_rows(shard: Shard) -> None:
    with PartWriter(shard) as part:
        part.finish(0)
    assert list(shard.rows()) == []


def test_rows_read_from_parquet_are_those_written(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.parquet")
    row = {"t": "żółć 🐈", "n": 2**70, "f": 0.5, "deep": [{"a": None}, {"a": [1]}], "none": None}
    with PartWriter(shard) as part:
        part.append(0, row)
        part.append(1, {**row, "n": 1})
        part.finish(2)
    assert list(shard.rows()) == [row, {**row, "n": 1}]


@pytest.mark.parametrize("numbers", [(0, 2), (0, 1), (1, 2), ()])
def test_a_missing_row_leaves_no_finished_file(shard: Shard, numbers: tuple[int, ...]) -> None:
    with PartWriter(shard) as part:
        for number in numbers:
            part.append(number, {"n": number})
        with pytest.raises(RowsMismatchError, match=f"{3 - len(numbers)} of 3 rows have no"):
            part.finish(3)
    assert not shard.path.exists()
    assert shard.part_path.exists()


def test_a_row_answered_twice_is_told(shard: Shard) -> None:
    with PartWriter(shard) as part:
        part.append(1, {})
        with pytest.raises(RowsMismatchError, match="row 1 was answered twice"):
            part.append(1, {})


def test_a_second_writer_of_one_shard_is_told_that_it_is_busy(shard: Shard) -> None:
    with PartWriter(shard) as part:
        part.append(0, {"n": 0})
        with pytest.raises(ShardBusyError, match="is being written by another run"):
            PartWriter(shard)
        part.finish(1)
    assert list(shard.rows()) == [{"n": 0}]


def test_a_writer_in_another_process_is_told_too(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dataflow_dagster.ledger.part import PartWriter;"
        "from dataflow_dagster.ledger.shard import Shard; PartWriter(Shard(Path(sys.argv[1])))"
    )
    path = tmp_path / "result.jsonl"
    with PartWriter(Shard(path)):
        command = [sys.executable, "-c", code, path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "ShardBusyError" in done.stderr


def test_a_writer_that_waited_for_the_lock_of_a_file_since_gone_takes_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Shard(tmp_path / "result.jsonl")
    locking = fcntl.flock

    def lock_late(file: object, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", locking)
        shard.owner_path.unlink()  # what its owner does when the shard is whole
        locking(file, how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(fcntl, "flock", lock_late)
    with PartWriter(shard) as part:
        part.append(0, {"n": 0})
        with pytest.raises(ShardBusyError):
            PartWriter(shard)
        part.finish(1)
    assert list(shard.rows()) == [{"n": 0}]


def test_whole_lines_of_a_killed_run_are_kept_for_the_ledger(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.jsonl")
    shard.part_path.write_bytes(b'{"n":1}\n{"n":2}\n{"n":')
    with PartWriter(shard):
        pass
    shard.part_path.write_bytes(b'{"n":3}\n')
    with PartWriter(shard):
        pass
    kept = [decode(line) for line in shard.interrupted_path.read_bytes().split()]
    assert kept == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_half_made_files_of_a_run_killed_as_it_finished_do_not_stay(shard: Shard) -> None:
    for ending in (".whole", ".ordered"):
        shard.path.with_name(shard.path.name + ending).write_bytes(b"{")
    with PartWriter(shard) as part:
        part.append(0, {"n": 0})
        part.finish(1)
    assert [path.name for path in shard.path.parent.iterdir()] == [shard.path.name]


def test_what_a_run_killed_after_it_finished_left_goes_and_a_live_run_s_stays(
    shard: Shard,
) -> None:
    left = shard.owner_path, shard.part_path, shard.interrupted_path
    for path in left:
        path.write_bytes(b"{}")
    tidy(shard)
    assert not any(path.exists() for path in left)
    with PartWriter(shard):
        tidy(shard)
        assert shard.part_path.exists()


def test_flushed_rows_are_on_disk(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.jsonl")
    with PartWriter(shard) as part:
        part.append(0, {"n": 0})
        assert shard.part_path.read_bytes() == b""
        part.flush()
        assert shard.part_path.read_bytes() == b'{"n":0}\n'


def test_a_file_where_the_folder_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        PartWriter(Shard(tmp_path / "file/result.jsonl"))


def _write_with_little_room(path: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    with PartWriter(Shard(Path(path))) as part:
        for number in range(2000):
            part.append(number, {"n": number})
        part.finish(2000)


def test_a_full_disk_is_a_clear_error_and_what_was_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "result.jsonl"
    pid = os.fork()
    if pid == 0:
        try:
            _write_with_little_room(str(path))
        except OSError:
            os._exit(3)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["result.owner", "result.part"]
    with PartWriter(Shard(path)) as part:
        lines = Shard(path).interrupted_path.read_bytes().splitlines()
        assert [decode(line)["n"] for line in lines if line] == list(range(len(lines) - 1))
        part.finish(0)
