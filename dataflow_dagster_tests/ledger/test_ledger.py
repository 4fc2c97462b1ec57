from pathlib import Path
from typing import Any

import pytest

from dataflow_dagster.ledger.keys import Origin
from dataflow_dagster.ledger.ledger import Ledger
from dataflow_dagster.ledger.manifest import Tally
from dataflow_dagster.ledger.part import PartWriter
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import Row, encode

ORIGIN = Origin("fingerprint", "texts")


def digest(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def line(key: str, text: str, **more: object) -> Row:
    return {"dataflow_key": digest(key).hex(), "dataflow_texts": {"text": text}, **more}


def shard_in(base: Path, folder: str = "step_1_Probe_Upper", name: str = "result.jsonl") -> Shard:
    path = base / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return Shard(path, "key" if "/" in name else None)


def write(shard: Shard, *keys: str, origin: Origin = ORIGIN) -> Shard:
    column = f"dataflow_{origin.asset}"
    with PartWriter(shard, origin) as part:
        for number, key in enumerate(keys):
            row = {"dataflow_key": digest(key).hex(), column: {"text": key.upper()}}
            part.append(number, row, digest(key))
        part.finish(len(keys), keep_own=True, keep_others=True)
    shard.leave_manifest(
        fingerprint="f", source="s", data_version="v", tally=Tally(), origin=origin
    )
    return shard


def find(ledger: Ledger, key: str) -> dict[str, Any] | None:
    following = ledger.following(digest(key))
    if following is not None:
        return following.answer()
    for known in ledger.search(digest(key)):
        answer = known.answer()
        if answer is not None:
            ledger.use(known)
            return answer
    return None


def begun(target: Shard) -> Ledger:
    ledger = Ledger(target.folder.parent, ORIGIN)
    ledger.begin(target)
    return ledger


def test_good_answers_are_found_by_key_in_finished_and_interrupted_rows(tmp_path: Path) -> None:
    shard = write(shard_in(tmp_path), "a", "b")
    shard.interrupted_path.write_bytes(encode(line("a", "new")) + b"\n")
    ledger = begun(shard)
    assert find(ledger, "a") == {"text": "new"}
    assert find(ledger, "b") == {"text": "B"}
    assert find(ledger, "c") is None


def test_failed_rows_and_other_steps_answers_are_not_known(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    failed = line("a", "x", dataflow_error={"step": "texts", "kind": "k", "message": "m"})
    other = {"dataflow_key": digest("b").hex(), "dataflow_captions": {"text": "x"}}
    shard.path.write_bytes(encode(failed) + b"\n" + encode(other) + b"\n")
    ledger = begun(shard)
    assert [find(ledger, key) for key in "ab"] == [None, None]


def test_damaged_lines_cost_only_themselves(tmp_path: Path) -> None:
    shard = shard_in(tmp_path)
    good = [encode(line(key, key)) for key in "abc"]
    short = encode({**line("d", "d"), "dataflow_key": "zz"})
    garbage = b"\x00\xff\xfe{{{", b'"text"', b"[1]", b"", good[0][:20], short
    for path in (shard.path, shard.interrupted_path):
        path.write_bytes(b"\n".join([good[0], *garbage, good[1], good[2]]) + b"\n" + good[0][:9])
    ledger = begun(shard)
    assert [find(ledger, key) for key in "abc"] == [{"text": key} for key in "abc"]


def test_a_finished_file_that_cannot_be_read_at_all_is_no_ledger(tmp_path: Path) -> None:
    shard = shard_in(tmp_path, name="result.parquet")
    shard.path.write_bytes(b"PAR1 cut")
    shard.interrupted_path.write_bytes(encode(line("a", "A")) + b"\n")
    ledger = begun(shard)
    assert find(ledger, "a") == {"text": "A"}
    assert find(ledger, "b") is None


def test_an_answer_from_parquet_is_as_it_was_given(tmp_path: Path) -> None:
    shard = shard_in(tmp_path, name="result.parquet")
    answers = {"text": "A", "prompt_tokens": 3}, {"text": "B", "truncated": True}
    with PartWriter(shard, ORIGIN) as part:
        for number, answer in enumerate(answers):
            key = digest(f"k{number}")
            part.append(number, {"dataflow_key": key.hex(), "dataflow_texts": answer}, key)
        part.finish(2)
    ledger = begun(shard)
    assert [find(ledger, "k0"), find(ledger, "k1")] == list(answers)
    assert find(ledger, "k0") == answers[0]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("step_2_Probe_Upper", "result.jsonl"),
        ("step_1_Probe_Upper", "result/00001-of-00002.jsonl"),
        ("step_1_Probe_Upper", "result.parquet"),
        ("step_7_Probe_Other", "result/x.parquet"),
    ],
)
def test_answers_are_found_in_files_of_any_place_split_and_format(
    tmp_path: Path, folder: str, name: str
) -> None:
    write(shard_in(tmp_path, folder, name), *"abc")
    ledger = begun(shard_in(tmp_path, name="result/00000-of-00003.jsonl"))
    assert [find(ledger, key) for key in "cab"] == [{"text": key} for key in "CAB"]


def test_a_renamed_asset_s_answers_are_found(tmp_path: Path) -> None:
    write(shard_in(tmp_path), "a", origin=Origin("fingerprint", "old"))
    assert find(begun(shard_in(tmp_path, "step_2_Probe_Upper")), "a") == {"text": "A"}


def test_files_of_another_fingerprint_are_passed_by(tmp_path: Path) -> None:
    write(shard_in(tmp_path), "a", origin=Origin("other", "texts"))
    assert find(begun(shard_in(tmp_path, "step_2_Probe_Upper")), "a") is None


def test_the_newest_of_two_answers_is_taken_and_the_other_where_that_is_gone(
    tmp_path: Path,
) -> None:
    old = write(shard_in(tmp_path, "step_1_Probe_Upper"), "a")
    new = shard_in(tmp_path, "step_2_Probe_Upper")
    with PartWriter(new, ORIGIN) as part:
        part.append(0, line("a", "new"), digest("a"))
        part.finish(1)
    ledger = begun(shard_in(tmp_path, "step_3_Probe_Upper"))
    assert find(ledger, "a") == {"text": "new"}
    ledger.close()
    new.path.unlink()
    assert old.path.exists()
    assert find(ledger, "a") == {"text": "A"}


@pytest.mark.parametrize("name", ["result.jsonl", "result.parquet"])
@pytest.mark.parametrize("content", [b"", b"{}\n", b"garbage"])
def test_a_keys_file_that_is_missing_or_stale_is_made_anew(
    tmp_path: Path, name: str, content: bytes
) -> None:
    shard = write(shard_in(tmp_path, name=name), "a", "b")
    before = shard.keys_path.read_bytes()
    shard.keys_path.write_bytes(content)
    if not content:
        shard.keys_path.unlink()
    assert find(begun(shard_in(tmp_path, "step_2_Probe_Upper")), "b") == {"text": "B"}
    assert shard.keys_path.read_bytes() == before


def test_what_a_killed_run_of_another_split_left_is_known_and_a_live_run_s_is_not(
    tmp_path: Path,
) -> None:
    left = shard_in(tmp_path, name="result/00000-of-00002.jsonl")
    live = shard_in(tmp_path, name="result/00001-of-00002.jsonl")
    left.part_path.write_bytes(encode(line("a", "A")) + b"\n" + encode(line("b", "B"))[:-3])
    with PartWriter(live, ORIGIN) as part:
        part.append(0, line("c", "C"), digest("c"))
        part.flush()
        ledger = begun(shard_in(tmp_path))
        assert [find(ledger, key) for key in "abc"] == [{"text": "A"}, None, None]
    assert find(begun(shard_in(tmp_path)), "c") == {"text": "C"}


def test_unused_answers_of_a_replaced_shard_are_found_from_others(tmp_path: Path) -> None:
    first = write(shard_in(tmp_path, name="result/0.jsonl"), *"abc")
    ledger = begun(first)
    assert find(ledger, "new") is None
    assert find(ledger, "a")
    assert find(ledger, "b")
    with PartWriter(first, ORIGIN) as part:
        for number, key in enumerate("ab"):
            part.append(number, line(key, key.upper()), digest(key))
        part.finish(2, keep_own=True)
    ledger.replaced(first)
    assert first.before_path(ORIGIN.step).read_bytes() == encode(line("c", "C")) + b"\n"
    for again in (ledger, Ledger(tmp_path, ORIGIN)):
        again.begin(shard_in(tmp_path, name="result/1.jsonl"))
        assert find(again, "c") == {"text": "C"}


def test_a_shard_whose_answers_were_all_taken_leaves_none_behind(tmp_path: Path) -> None:
    shard = write(shard_in(tmp_path), *"ab")
    write(shard, *"bca")
    assert not shard.before_path(ORIGIN.step).exists()


def test_many_files_open_few(tmp_path: Path) -> None:
    for number in range(30):
        write(
            shard_in(tmp_path, name=f"result/{number:02}.jsonl"), *(f"{number} {n}" for n in "ab")
        )
    ledger = begun(shard_in(tmp_path))
    found = [find(ledger, f"{number} {n}") for n in "ab" for number in range(30)]
    assert found == [{"text": f"{number} {n}".upper()} for n in "ab" for number in range(30)]
    ledger.close()
