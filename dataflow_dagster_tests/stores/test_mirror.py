"""Copies of a store's folder, on the plainest store that fsspec has: what is asked is the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflow_dagster.stores import mirrors
from dataflow_dagster.stores.flocks import is_flocked
from dataflow_dagster.stores.lock import HeldError, StoreLock
from dataflow_dagster.stores.mirror import Mirror
from dataflow_dagster.stores.store import Store, StoreError
from dataflow_dagster_tests.object_store import hurry

URL = "memory://folder"


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    from fsspec.implementations.memory import MemoryFileSystem

    yield
    MemoryFileSystem.store.clear()


@pytest.fixture
def two(tmp_path: Path) -> tuple[Mirror, Mirror]:
    """Two machines' copies of one folder."""
    return Mirror(URL, tmp_path / "one"), Mirror(URL, tmp_path / "two")


def write(mirror: Mirror, name: str, text: str) -> Path:
    path = mirror.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_one_machine_put_another_brings_and_brings_no_second_time(
    two: tuple[Mirror, Mirror],
) -> None:
    one, other = two
    one.put(write(one, "a/x.jsonl", "1"))
    path = other.root / "a/x.jsonl"
    assert other.bring(path)
    assert path.read_text() == "1"
    before = path.stat().st_ino
    other.forget()
    other.bring(path)
    assert path.stat().st_ino == before
    one.put(write(one, "a/x.jsonl", "22"))
    other.forget()
    other.bring(path)
    assert path.read_text() == "22"


def test_the_store_is_right_where_a_file_here_is_another(two: tuple[Mirror, Mirror]) -> None:
    one, other = two
    one.put(write(one, "x.jsonl", "1"))
    path = write(other, "x.jsonl", "unsent")
    other.bring(path)
    assert path.read_text() == "1"
    one.delete([one.root / "x.jsonl"])
    other.forget()
    assert not other.bring(path)
    assert not path.exists()


def test_a_shard_that_a_process_here_writes_is_left_alone(two: tuple[Mirror, Mirror]) -> None:
    import fcntl

    one, other = two
    one.put(write(one, "x.jsonl", "1"))
    path, owner = write(other, "x.jsonl", "mine"), write(other, "x.owner", "")
    with owner.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_flocked(owner)
        other.bring(path)
        other.drop_stale(path)
        assert path.read_text() == "mine"
        other.bring(path, ours=True)
        assert path.read_text() == "1"


def test_a_folder_of_shards_and_the_shard_of_that_name_are_two_things(
    two: tuple[Mirror, Mirror],
) -> None:
    one, _ = two
    one.put(write(one, "step/result.jsonl", "1"))
    one.put(write(one, "step/result/00000-of-00002.jsonl", "2"))
    assert set(one.folder(one.root / "step/result")) == {"00000-of-00002.jsonl"}
    assert set(one.folder(one.root / "step")) == {"result.jsonl"}
    assert one.find(one.root / "step/result.jsonl") is not None
    assert one.folders(one.root / "step") == [one.root / "step/result"]


def test_a_client_that_fails_is_told_with_the_url(tmp_path: Path) -> None:
    store = Store("nosuchscheme://folder")
    with pytest.raises(StoreError, match="nosuchscheme://folder"):
        store.read("x")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.mark.usefixtures("quick")
def test_a_lock_is_held_against_other_machines_while_its_holder_lives(
    two: tuple[Mirror, Mirror],
) -> None:
    one, other = two
    lock = StoreLock(one, one.root / "x.owner")
    with pytest.raises(HeldError, match=rf"process {os.getpid()} on "):
        StoreLock(other, other.root / "x.owner")
    lock.check()
    lock.release()
    StoreLock(other, other.root / "x.owner").release()
    assert one.read(one.root / "x.owner") is None


@pytest.mark.usefixtures("quick")
def test_who_was_thought_dead_learns_that_another_took_over(
    two: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    monkeypatch.setattr("dataflow_dagster.stores.lock.BEAT_S", 2.0)  # silent for long enough
    silent = StoreLock(one, one.root / "x.owner")
    taken = StoreLock(other, other.root / "x.owner")
    silent._thread.join(5)  # noqa: SLF001  # until it looked again
    with pytest.raises(StoreError, match="took over"):
        silent.check()
    silent.release()
    taken.check()
    taken.release()


@pytest.mark.usefixtures("quick")
def test_a_machine_that_stood_still_leaves_its_successor_s_lock_alone(
    two: tuple[Mirror, Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    monkeypatch.setattr("dataflow_dagster.stores.lock.BEAT_S", 60.0)  # it never looked again
    still = StoreLock(one, one.root / "x.owner")
    taken = StoreLock(other, other.root / "x.owner")
    still.release()
    assert one.read(one.root / "x.owner") is not None
    taken.release()
    assert one.read(one.root / "x.owner") is None


def test_a_copy_takes_its_own_lock_back_at_once(two: tuple[Mirror, Mirror]) -> None:
    one, _ = two
    first = StoreLock(one, one.root / "x.owner")
    second = StoreLock(Mirror(URL, one.root), one.root / "x.owner")
    second.check()
    second.release()
    first.release()


def test_a_folder_has_one_copy_for_each_endpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mirrors.CACHE, str(tmp_path))
    first = mirrors.local("s3://bucket/a/")
    assert mirrors.local("s3://bucket/a") == first
    assert mirrors.address(first / "x/y.png") == "s3://bucket/a/x/y.png"
    assert mirrors.mirrored("s3://bucket/a/x/y.png") == first / "x/y.png"
    assert mirrors.mirrored("s3://bucket/ab") is None
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert mirrors.local("s3://bucket/a") != first
    assert mirrors.local("file:///x/y") == Path("/x/y")
    assert mirrors.mirror_of(tmp_path) is None
