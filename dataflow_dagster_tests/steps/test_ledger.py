from pathlib import Path

from dataflow_dagster.rows import encode
from dataflow_dagster.steps.ledger import Ledger
from dataflow_dagster.steps.part import PartWriter
from dataflow_dagster.steps.shard import Shard


def line(key: str, text: str, **more: object) -> dict[str, object]:
    return {"dataflow_key": key, "dataflow_texts": {"text": text}, **more}


def test_good_answers_are_found_by_key_in_finished_and_interrupted_rows(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.jsonl")
    shard.path.write_bytes(encode(line("a", "old")) + b"\n" + encode(line("b", "B")) + b"\n")
    shard.interrupted_path.write_bytes(encode(line("a", "new")) + b"\n")
    ledger = Ledger(shard, "texts")
    assert len(ledger) == 2
    assert ledger.find("a") == {"text": "new"}
    assert ledger.find("b") == {"text": "B"}
    assert ledger.find("c") is None


def test_failed_rows_and_other_steps_answers_are_not_known(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.jsonl")
    failed = line("a", "x", dataflow_error={"step": "texts", "kind": "k", "message": "m"})
    other = {"dataflow_key": "b", "dataflow_captions": {"text": "x"}}
    shard.path.write_bytes(encode(failed) + b"\n" + encode(other) + b"\n")
    assert len(Ledger(shard, "texts")) == 0


def test_damaged_lines_cost_only_themselves(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.jsonl")
    good = [encode(line(key, key)) for key in "abc"]
    garbage = b"\x00\xff\xfe{{{", b'"text"', b"[1]", b"", good[0][:20]
    for path in (shard.path, shard.interrupted_path):
        path.write_bytes(b"\n".join([good[0], *garbage, good[1], good[2]]) + b"\n" + good[0][:9])
    assert len(Ledger(shard, "texts")) == 3


def test_a_finished_file_that_cannot_be_read_at_all_is_no_ledger(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.parquet")
    shard.path.write_bytes(b"PAR1 cut")
    shard.interrupted_path.write_bytes(encode(line("a", "A")) + b"\n")
    assert len(Ledger(shard, "texts")) == 1


def test_an_answer_from_parquet_is_as_it_was_given(tmp_path: Path) -> None:
    shard = Shard(tmp_path / "result.parquet")
    answers = {"text": "A", "prompt_tokens": 3}, {"text": "B", "truncated": True}
    with PartWriter(shard) as part:
        for number, answer in enumerate(answers):
            part.append(number, {"dataflow_key": f"k{number}", "dataflow_texts": answer})
        part.finish(2)
    ledger = Ledger(shard, "texts")
    assert [ledger.find("k0"), ledger.find("k1")] == list(answers)
