import os
import threading
import time
from pathlib import Path

import pytest

from dataflow_dagster.ledger import flushing
from dataflow_dagster.ledger.flushing import FLUSH_S, Flusher


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "flush"]


def wait_until_flushed(path: Path) -> bytes:
    for _ in range(100):
        if path.read_bytes():
            break
        time.sleep(FLUSH_S / 10)
    return path.read_bytes()


def test_one_thread_flushes_all_files_but_those_removed(tmp_path: Path) -> None:
    before, flusher = len(threads()), Flusher()
    paths = [tmp_path / name for name in ("one", "two", "removed")]
    one, two, removed = (path.open("wb") for path in paths)
    for file in (one, two, removed):
        flusher.add(file)
        file.write(b"row\n")
    flusher.remove(removed)
    assert len(threads()) - before == 1
    assert [wait_until_flushed(path) for path in paths[:2]] == [b"row\n", b"row\n"]
    assert paths[2].read_bytes() == b""
    for file in (one, two):
        flusher.remove(file)
        file.close()
    removed.close()


def test_a_file_that_cannot_be_flushed_keeps_no_other_from_it(tmp_path: Path) -> None:
    flusher = Flusher()
    with Path("/dev/full").open("wb") as full, (tmp_path / "rows").open("wb") as rows:
        flusher.add(full)
        full.write(b"row\n")
        time.sleep(2 * FLUSH_S)
        flusher.add(rows)
        rows.write(b"row\n")
        assert wait_until_flushed(tmp_path / "rows") == b"row\n"
        flusher.remove(full)
        flusher.remove(rows)
        full.raw.close()  # type: ignore[attr-defined]


def test_the_thread_ends_with_the_last_file_and_begins_with_the_next(tmp_path: Path) -> None:
    flusher = Flusher()
    for _ in range(2):
        with (tmp_path / "rows").open("wb") as rows:
            flusher.add(rows)
            (thread,) = [one for one in threads() if one is flusher._thread]  # noqa: SLF001
            rows.write(b"row\n")
            assert wait_until_flushed(tmp_path / "rows") == b"row\n"
            flusher.remove(rows)
        thread.join(10 * FLUSH_S)
        assert not thread.is_alive()


def test_much_that_was_written_is_brought_to_the_disk_while_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flushing, "FLUSH_S", 0.01)
    monkeypatch.setattr(flushing, "SYNC_BYTES", 100)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    flusher = Flusher()
    with (tmp_path / "few").open("wb") as few, (tmp_path / "many").open("wb") as many:
        for file in (few, many):
            flusher.add(file)
        few.write(b"x" * 99)
        for sizes in ([100], [100, 200], [100, 200, 300]):
            many.write(b"x" * 100)
            until = time.monotonic() + 20
            while synced != sizes and time.monotonic() < until:
                time.sleep(0.01)
            assert synced == sizes
            few.close()  # left so by a writer that failed: the others are not held up by it
        for file in (few, many):
            flusher.remove(file)
