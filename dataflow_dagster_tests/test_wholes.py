import os
from pathlib import Path

import pytest

from dataflow_dagster.wholes import whole, write_whole


def test_a_file_has_its_name_when_it_is_whole_and_its_bytes_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    path, fsync = tmp_path / "x", os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(path.exists()), fsync(file)))
    with whole(path) as file:
        file.write(b"1")
        assert not path.exists()
    assert (path.read_bytes(), synced) == (b"1", [False])
    write_whole(path, b"2")
    assert path.read_bytes() == b"2"


def test_after_an_error_the_file_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_whole(path, b"1")
    with pytest.raises(TypeError), whole(path) as file:
        file.writelines([b"2", None])  # pyright: ignore[reportArgumentType]
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("x", b"1")]
