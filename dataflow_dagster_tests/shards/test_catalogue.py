from pathlib import Path

import pytest

from dataflow_dagster.shards.catalogue import Catalogue, UnknownShardError


def test_files_are_grouped_in_order_and_the_last_group_may_be_smaller(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    names = [f"part-{n:04d}.jsonl.gz" for n in range(5)]
    assert catalogue.register(names, 2) == ["00000-part-0000", "00001-part-0002", "00002-part-0004"]
    assert [catalogue.files(number) for number in range(3)] == [names[:2], names[2:4], names[4:]]


def test_new_files_make_new_shards_wherever_their_names_sort(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    first = catalogue.register(["b.csv", "d.csv"], 1)
    assert catalogue.register(["a.csv", "b.csv", "c.csv", "d.csv"], 1) == ["00002-a", "00003-c"]
    assert catalogue.keys() == [*first, "00002-a", "00003-c"]
    assert [catalogue.files(number) for number in range(2)] == [["b.csv"], ["d.csv"]]
    assert catalogue.unknown(["e.csv", "a.csv"]) == ["e.csv"]


def test_another_number_of_files_a_shard_moves_no_file(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.register(["a.csv"], 1)
    catalogue.register(["a.csv", "b.csv", "c.csv"], 2)
    assert catalogue.files(0) == ["a.csv"]
    assert catalogue.files(1) == ["b.csv", "c.csv"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("2024/01/part.0003.parquet", "00000-part-0003"),
        ("größe ...,x.jsonl", "00000-gr-e-x"),
        ("日本.csv", "00000-files"),
        ("a" * 300 + ".jpg", "00000-" + "a" * 40),
        (b"\xff\xfe.jsonl".decode("utf-8", "surrogateescape"), "00000-files"),
        ("..jsonl", "00000-files"),
    ],
)
def test_a_key_is_fit_for_the_name_of_a_file(tmp_path: Path, name: str, key: str) -> None:
    catalogue = Catalogue(tmp_path)
    assert catalogue.register([name], 1) == [key]
    assert catalogue.files(0) == [name]


def test_a_key_made_by_hand_is_told_where_keys_come_from(tmp_path: Path) -> None:
    for catalogue in (Catalogue(tmp_path / "none"), Catalogue(tmp_path)):
        with pytest.raises(UnknownShardError, match=r"'mine' is no shard.*_register"):
            catalogue.number("mine")
        Catalogue(tmp_path).register(["a.csv"], 1)
    assert Catalogue(tmp_path / "none").keys() == []
    assert not (tmp_path / "none").exists()


def test_what_was_noted_of_a_file_is_kept(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    catalogue.register(["a.csv", "b.csv"], 1)
    catalogue.note({"b.csv": "7-1.5", "gone.csv": "1"})
    assert catalogue.keys_of(["b.csv", "gone.csv"]) == ["00001-b"]
    assert catalogue.stamps() == {"a.csv": "", "b.csv": "7-1.5"}
