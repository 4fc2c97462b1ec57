import os
from pathlib import Path

import pytest

from dataflow_dagster.ledger import interrupted
from dataflow_dagster.ledger.interrupted import keep_interrupted
from dataflow_dagster.rows import encode


def line(name: str, **more: object) -> bytes:
    key = name.encode().ljust(16, b".").hex()
    return encode({"dataflow_key": key, "dataflow_texts": {"text": name}, **more}) + b"\n"


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "result.part", tmp_path / "result.interrupted"


def kept(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().splitlines(keepends=True) if not line.isspace()]


def test_after_many_kills_each_answer_is_there_once(paths: tuple[Path, Path]) -> None:
    part, left = paths
    answers = [line(str(number)) for number in range(30)]
    for kill in range(1, 6):  # rows reused from what is left are written into the part again
        part.write_bytes(b"".join(answers[: 6 * kill]) + answers[0][:20])
        keep_interrupted(part, left)
    assert kept(left) == answers


def test_one_key_in_many_lines_is_kept_once_and_no_key_by_its_line(
    paths: tuple[Path, Path],
) -> None:
    part, left = paths
    part.write_bytes(line("a", more=1) + line("a", more=2) + b'{"n":1}\n{"n":1}\n{"n":2}\n')
    keep_interrupted(part, left)
    part.write_bytes(line("a", more=3) + b'{"n":2}\n')
    keep_interrupted(part, left)
    assert kept(left) == [line("a", more=1), b'{"n":1}\n', b'{"n":2}\n']


def test_failed_rows_and_damaged_lines_are_not_kept(paths: tuple[Path, Path]) -> None:
    part, left = paths
    error = {"step": "texts", "kind": "k", "message": "m"}
    part.write_bytes(line("a", dataflow_error=error) + b"{{{\n[1]\n" + line("b") + b"\0\n")
    keep_interrupted(part, left)
    assert kept(left) == [line("b")]


def test_killed_while_they_are_kept_none_is_lost(
    paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    part, left = paths
    left.write_bytes(line("a") + line("b")[:20])
    part.write_bytes(line("a") + line("b") + line("c"))
    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(interrupted, "sync", lambda file: (file.flush(), os._exit(9)))
        keep_interrupted(part, left)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    keep_interrupted(part, left)
    assert kept(left) == [line("a"), line("b")[:20] + b"\n", line("b"), line("c")]
