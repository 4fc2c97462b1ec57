from pathlib import Path

import pytest

from dataflow_dagster.shards.borders import balanced, kept_borders


@pytest.mark.parametrize(("rows", "parts"), [(10, 3), (2, 5), (0, 2), (7, 7)])
def test_balanced_shards_hold_every_row_and_differ_by_one(rows: int, parts: int) -> None:
    shards = [balanced(rows, parts).shard(at) for at in range(parts)]
    assert [row for shard in shards for row in shard] == list(range(rows))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_borders_are_kept_once_every_shard_has_a_row(tmp_path: Path) -> None:
    assert kept_borders(tmp_path, "in", 2, 4).starts == (0, 0, 1, 1)
    first = kept_borders(tmp_path, "in", 40, 4)
    assert first.starts == (0, 10, 20, 30)
    assert kept_borders(tmp_path, "in", 99, 4).shard(3) == range(30, 99)


def test_another_input_has_other_borders(tmp_path: Path) -> None:
    kept_borders(tmp_path, "in", 40, 4)
    other = kept_borders(tmp_path, "else", 80, 4)
    assert (other.starts, other.moved) == ((0, 20, 40, 60), None)


def test_fewer_rows_than_before_move_the_borders_and_say_so_once(tmp_path: Path) -> None:
    kept_borders(tmp_path, "in", 40, 4)
    assert kept_borders(tmp_path, "in", 20, 4).moved == (
        "in has 20 rows where it had 40: the borders of its 4 shards are set anew"
    )
    again = kept_borders(tmp_path, "in", 20, 4)
    assert (again.starts, again.moved) == ((0, 5, 10, 15), None)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"meta_path":"in","shards":2,"rows":9,"starts":[5,0]}']
)
def test_damaged_borders_are_set_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "borders.json").write_bytes(content)
    assert kept_borders(tmp_path, "in", 10, 2).starts == (0, 5)


def test_who_writes_next_removes_what_a_killed_run_left_half_made(tmp_path: Path) -> None:
    (tmp_path / "borders.json.part").touch()
    kept_borders(tmp_path, "in.jsonl", 10, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["borders.json", "borders.lock"]
