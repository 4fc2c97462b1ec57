from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.media.hosts import Hosts
from dataflow_dagster.media.paths import resolve_medium
from dataflow_dagster.places import place
from dataflow_dagster.rows import RowError

FOLDER = Path("/data/pictures")
NOBODY = Hosts()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a.jpg", "/data/pictures/a.jpg"),
        ("sub/../a b.jpg", "/data/pictures/a b.jpg"),
        ("./写真.jpg", "/data/pictures/写真.jpg"),
        ("..jpg", "/data/pictures/..jpg"),
        ("/elsewhere/a.jpg", "/elsewhere/a.jpg"),
        ("~/a.jpg", "/data/pictures/~/a.jpg"),
        ("%2e%2e/a.jpg", "/data/pictures/%2e%2e/a.jpg"),
    ],
)
def test_a_path_is_taken_from_the_folder_or_as_written(value: str, path: str) -> None:
    assert resolve_medium(value, FOLDER, NOBODY) == path


@pytest.mark.parametrize("value", [None, ""])
def test_no_value_means_no_medium(value: str | None) -> None:
    assert resolve_medium(value, FOLDER, NOBODY) is None


@pytest.mark.parametrize("value", ["..", "../a.jpg", "../../etc/passwd", "a/../../b.jpg", "./../x"])
def test_a_relative_path_never_leaves_the_folder(value: str) -> None:
    with pytest.raises(RowError) as failed:
        resolve_medium(value, FOLDER, NOBODY)
    assert failed.value.kind == "outside_meta_folder"
    assert f"'{value}'" in failed.value.message


@pytest.mark.parametrize(
    "value",
    [
        *(5, 0, 1.5, True, False, [], ["a.jpg"], {"path": "a.jpg"}),
        *("nul\0.jpg", "\ud800.jpg", "x" * 256, "y/" * 3000, "写" * 100),
        *("ftp://host/a.jpg", "ssh://host/a.jpg", "http://u:p@host/a.jpg", "s3://bucket/a\n"),
    ],
    ids=lambda value: repr(value)[:20].encode("ascii", "replace").decode(),
)
def test_a_value_that_is_no_path_costs_one_row(value: Any) -> None:
    with pytest.raises(RowError) as failed:
        resolve_medium(value, FOLDER, NOBODY)
    assert failed.value.kind == "bad_value"
    assert len(failed.value.message) < 400


def test_a_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.jpg").write_text("x")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/link").symlink_to(tmp_path / "elsewhere")
    found = resolve_medium("link/a.jpg", tmp_path / "pictures", NOBODY)
    assert found is not None
    assert Path(found).read_text() == "x"


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("a/b.jpg", "s3://bucket/pictures/a/b.jpg"),
        ("a/../b.jpg", "s3://bucket/pictures/b.jpg"),
        ("gs://other/a.jpg", "gs://other/a.jpg"),
        ("https://host/a.jpg?b=c", "https://host/a.jpg?b=c"),
        ("/here/a.jpg", "/here/a.jpg"),
        ("file:///here/a.jpg", "/here/a.jpg"),
    ],
)
def test_media_may_lie_in_stores_and_on_allowed_hosts(value: str, url: str) -> None:
    assert resolve_medium(value, place("s3://bucket/pictures/"), Hosts(("host",))) == url


def test_a_relative_path_never_leaves_a_folder_in_a_store() -> None:
    with pytest.raises(RowError) as failed:
        resolve_medium("../secret/a.jpg", place("s3://bucket/pictures"), NOBODY)
    assert failed.value.kind == "outside_meta_folder"


def test_a_host_that_is_not_listed_costs_one_row() -> None:
    with pytest.raises(RowError) as failed:
        resolve_medium("https://host/a.jpg", FOLDER, NOBODY)
    assert failed.value.kind == "host_not_allowed"
    assert "allowed_hosts" in failed.value.message


def test_a_rare_scheme_is_taken_where_the_folder_has_it() -> None:
    folder = place("memory://pictures")
    assert resolve_medium("memory://x/a.jpg", folder, NOBODY) == "memory://x/a.jpg"
