import os
from pathlib import Path

import pytest
from upath import UPath

from dataflow_dagster.formats.format import InputError
from dataflow_dagster.formats.lookup import ENDINGS, format_of, read


def test_an_unknown_ending_is_told_with_all_that_are_allowed() -> None:
    with pytest.raises(InputError) as refused:
        format_of(Path("rows.xlsx"))
    for ending in (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson", ".csv.gz", ".json.gz"):
        assert ending in ENDINGS
        assert ending in refused.value.reason


def test_parquet_is_not_gzipped() -> None:
    with pytest.raises(InputError):
        format_of(Path("rows.parquet.gz"))


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet", ".jsonl.gz"])
def test_a_missing_file_a_folder_and_a_pipe_are_refused(tmp_path: Path, ending: str) -> None:
    missing, folder, pipe = (tmp_path / (name + ending) for name in ("missing", "folder", "pipe"))
    folder.mkdir()
    os.mkfifo(pipe)
    for path, reason in ((missing, "there is no such file"), (folder, "is not a file")):
        with pytest.raises(InputError, match=reason):
            list(read(path))
    with pytest.raises(InputError, match="is not a file"):
        list(read(pipe))


def test_a_url_of_fsspec_is_read_like_a_file() -> None:
    path = UPath("memory://folder/rows.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'{"a": 1}\n')
    assert list(read(path)) == [{"a": 1}]
