import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from upath import UPath

from dataflow_dagster.export.destination import NOTE, destination
from dataflow_dagster.export.request import ExportError
from dataflow_dagster_tests.export.exports import captioned_and_drawn, write
from dataflow_dagster_tests.steps.driving import Ground
from dataflow_dagster_tests.toys.process import environment

HOLD = """
import sys, time
from dataflow_dagster.export.destination import destination
with destination(sys.argv[1], overwrite=True) as folder:
    folder.open("a").write(b"half")
    print("open", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store() -> Iterator[str]:
    root = UPath("memory://exports")
    yield f"{root}/cats"
    if root.exists():
        root.fs.rm(root.path, recursive=True)


@pytest.mark.parametrize("remote", [False, True])
def test_what_stands_there_is_replaced_only_if_it_is_an_export_and_that_is_asked(
    tmp_path: Path, store: str, remote: bool
) -> None:
    place = store if remote else str(tmp_path / "cats")
    with destination(place, overwrite=False) as folder:
        with folder.open("x/old") as file:
            file.write(b"1")
        folder.publish({})
    with pytest.raises(ExportError, match=r"is an export already: .*--overwrite"):
        destination(place, overwrite=False)
    with destination(place, overwrite=True) as folder:
        folder.publish({})
    assert [path.name for path in UPath(place).iterdir()] == [NOTE]
    (UPath(place) / NOTE).unlink()
    (UPath(place) / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="is no export: name a new folder"):
        destination(place, overwrite=True)


@pytest.mark.parametrize("remote", [False, True])
def test_a_failure_half_way_leaves_nothing(tmp_path: Path, store: str, remote: bool) -> None:
    place = store if remote else str(tmp_path / "cats")
    with suppress(ZeroDivisionError), destination(place, overwrite=False) as folder:
        folder.open("half").write(b"1")
        raise ZeroDivisionError
    assert not UPath(place).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_keeps_the_earlier_export(ground: Ground, tmp_path: Path) -> None:
    pipeline = captioned_and_drawn(ground)
    write(pipeline, tmp_path / "cats", "hf")
    (ground.folder / "out/generated_images/2_generated.png").unlink()
    with pytest.raises(ExportError, match="is missing"):
        write(pipeline, tmp_path / "cats", "hf", overwrite=True)
    assert (tmp_path / "cats" / NOTE).exists()


def test_an_export_to_a_store_is_read_from_there(ground: Ground, store: str) -> None:
    write(captioned_and_drawn(ground), store, "webdataset")
    assert (UPath(store) / "shard-000000.tar").read_bytes()[:5] == b"cat-0"
    assert (UPath(store) / NOTE).exists()


def test_a_store_that_is_not_known_is_a_clear_error() -> None:
    with pytest.raises(ExportError, match="nosuch://a/b cannot be reached"):
        destination("nosuch://a/b", overwrite=False)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ExportError, match="cannot be written"),
        destination(str(tmp_path / "file/cats"), overwrite=False),
    ):
        pass


def test_two_exports_at_once_do_not_mix_and_a_killed_one_is_swept_away(tmp_path: Path) -> None:
    place = str(tmp_path / "cats")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, place],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(tmp_path / "env"),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    with (
        pytest.raises(ExportError, match="being written by another export"),
        destination(place, overwrite=False),
    ):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not Path(place).exists()
    with destination(place, overwrite=False) as folder:
        folder.publish({})
    assert [path.name for path in Path(place).iterdir()] == [NOTE]
    assert not (tmp_path / ".cats.part").exists()
