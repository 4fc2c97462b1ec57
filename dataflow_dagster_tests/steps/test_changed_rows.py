"""Where the input changed, lines that are as they were are copied, all others looked at again."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import Row, decode, encode
from dataflow_dagster.steps.answering import StepRun
from dataflow_dagster.steps.layout import RAW_META, Layout
from dataflow_dagster_tests.steps.driving import Ground, many, step

ROUNDS = 6


def edited(rows: list[Row], random: Random, new: int) -> list[Row]:
    """Rows changed, removed, added and moved, a few of each; ids stay unique."""
    after = [dict(row) for row in rows]
    for _ in range(random.randrange(4)):
        at = random.randrange(len(after) + 1)
        match random.randrange(5):
            case 0 if at < len(after):
                after[at]["text"] = random.choice(["changed", "unfit", None, "t1"])
            case 1 if at < len(after):
                after[at]["more"] = random.randrange(3)
            case 2 if at < len(after):
                del after[at]
            case 3 if at < len(after):
                after.insert(random.randrange(len(after)), after.pop(at))
            case _:
                new += 1
                after.insert(at, {"id": f"new {new}", "text": random.choice(["a", "b\n", "unfit"])})
    return after


def known(row: Row) -> tuple[Any, Any]:
    return row["id"], row.get("text")


@pytest.mark.parametrize("seed", range(8))
def test_whatever_changes_rows_are_those_of_a_run_from_nothing(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(seed)
    together = 1 + seed % 4  # so that some of those looked up together are changed, and some not
    monkeypatch.setattr("dataflow_dagster.steps.changed_rows.GROUP_ROWS", together)
    ground = Ground(tmp_path)
    rows: list[Row] = [{"id": f"r{n}", "text": f"t{n}"} for n in range(12)]
    asked_before: set[tuple[Any, ...]] = set()
    for turn in range(ROUNDS):
        ground.rows(*rows)
        steps = step("Dice", prompt=random.choice(["", "", "!"])), step("Upper", output_key="loud")
        keys: dict[str, Any] = {
            "shards": random.choice([1, 2, 2, 3]),
            "seed": random.choice([0, 0, 0, 1]),
        }
        outcome = ground.run(*steps, **keys)
        fresh = Ground(tmp_path)
        fresh.folder = tmp_path / f"fresh {turn}"
        fresh.folder.mkdir()
        assert outcome.rows() == fresh.run(*steps, **keys).rows()
        again = ground.run(*steps, **keys)
        assert again.rows() == outcome.rows()
        assert [text for text in ground.asked() if text != "unfit"] == []
        tally = outcome.tally("texts")
        settings = steps[0]["config"]["prompt"], keys["seed"]
        answered = {(*settings, *known(row)) for row in rows if row["text"] not in {None, "unfit"}}
        assert tally.computed <= len(answered - asked_before)
        assert tally.computed + tally.reused == len(answered)
        asked_before = answered
        rows = edited(rows, random, 100 * turn)


def test_a_line_that_is_as_it_was_is_not_even_parsed(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(ground, 20)
    first = ground.run(step("Dice")).rows()
    parsed: list[bytes] = []

    def noting(line: bytes) -> Any:
        parsed.append(line)
        return decode(line)

    ground.rows(*({"id": n, "text": "new" if n == 7 else f"t{n}"} for n in range(20)))
    monkeypatch.setattr("dataflow_dagster.ledger.shard.decode", noting)
    outcome = ground.run(step("Dice"))
    monkeypatch.undo()
    of_the_step = [line for line in parsed if b'"dataflow_texts"' not in line]
    assert len(of_the_step) == 2  # the changed one, and the one behind it, which is searched for
    assert ground.asked() == ["new"]
    assert [row for row in outcome.rows() if row["id"] != 7] == first[:7] + first[8:]


@pytest.mark.parametrize("keys", [{"prompt": "!"}, {"seed": 3}, {"input_key": "other"}])
def test_equal_lines_under_other_settings_are_answered_anew(
    ground: Ground, keys: dict[str, Any]
) -> None:
    ground.rows(*({"id": n, "text": f"t{n}", "other": f"o{n}"} for n in range(5)))
    ground.run(step("Dice"))
    ground.run(step("Dice", **keys))
    assert len(ground.asked()) == 5


def test_an_answer_whose_line_was_tampered_with_is_not_copied(ground: Ground) -> None:
    many(ground, 4)
    first = ground.run(step("Dice")).rows()
    path = ground.folder / "base" / "step_1_Probe_Dice" / "result.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b" " * (len(lines[1]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(5)))
    again = ground.run(step("Dice"))
    assert sorted(ground.asked()) == ["t1", "t4"]
    assert again.rows()[:4] == first


def test_keys_without_marks_serve_as_before(ground: Ground) -> None:
    many(ground, 6)
    first = ground.run(step("Dice"), format="parquet").rows()
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(7)))
    outcome = ground.run(step("Dice"))
    assert ground.asked() == ["t6"]
    assert outcome.rows()[:6] == first
    ground.rows(*({"id": n, "text": f"t{n}"} for n in range(8)))
    ground.run(step("Dice"))
    assert ground.asked() == ["t7"]


def test_raw_meta_rows_edited_by_hand_are_noticed(ground: Ground) -> None:
    many(ground, 5)
    outcome = ground.run(step("Dice"))
    path = ground.folder / "base" / "step_0_preprocess_format" / "result.jsonl"
    rows = outcome.rows(RAW_META)
    rows[2]["dataflow_text"] = "by hand"
    path.write_bytes(b"".join(encode(row) + b"\n" for row in rows))
    path.with_name("result.manifest.json").unlink()
    layout = Layout(outcome.pipeline)
    ground.log.unlink()
    with StepRun(outcome.pipeline, outcome.pipeline.steps[0]) as run:
        run.answer_shard(Shard(path), layout.shard("texts"))
    assert ground.asked() == ["by hand"]
