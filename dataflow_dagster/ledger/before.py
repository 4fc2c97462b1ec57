"""Good answers that a shard's new rows do not hold: kept beside them, as a later run may want them.

Of each step that ever wrote the shard's file one ``<stem>.<hash of the step>.before`` may stand
there, always jsonl: answers under an earlier prompt, or of rows that went to another shard.
"""

from array import array
from binascii import hexlify
from collections.abc import Iterator
from pathlib import Path

from dataflow_dagster.ledger.answer_file import AnswerFile
from dataflow_dagster.ledger.earlier import answer_file, origin_of
from dataflow_dagster.ledger.key_index import others
from dataflow_dagster.ledger.keys import Keys, Origin, keys_beside, write_keys
from dataflow_dagster.ledger.ledger import Known
from dataflow_dagster.ledger.shard import Shard
from dataflow_dagster.rows import KEY, answer_column, encode
from dataflow_dagster.stores import mirrors
from dataflow_dagster.wholes import whole


def keep_before(
    shard: Shard, origin: Origin, digests: bytes, *, of_own: bool, of_others: bool
) -> None:
    """Keep answers of the finished rows, which are about to be replaced.

    What is kept already stays: killed on the way, the new rows are not there.

    Args:
        shard: Held by this process; what is kept of `origin` was brought.
        origin: Of the new rows.
        digests: The keys of their good answers, which need not be kept.
        of_own: Whether to, where the finished rows are of the same step.
        of_others: Whether to, where they are of another.
    """
    made = (origin_of(shard.path) if shard.path.exists() else None) or origin
    if not (of_own if made.step == origin.step else of_others):
        return
    finished = answer_file(shard.path, shard.folder, made)
    if finished is None or not others(finished.keys(), digests):
        return
    if made.step != origin.step:
        bring_kept(shard, made)
    kept = _kept(shard, made)
    known = digests if kept is None else digests + bytes(kept.keys().digests)
    noted = kept is None or keys_beside(kept.path).exists()
    if not noted or others(finished.keys(), known):
        _write(shard, made, finished, kept, digests)


def spent(shard: Shard, origin: Origin, digests: bytes) -> list[Path]:
    """The files of what was kept of the step, if the new rows hold all of it."""
    kept = _kept(shard, origin)
    if kept is None or others(kept.keys(), digests):
        return []
    return [kept.path, keys_beside(kept.path)]


def bring_kept(shard: Shard, origin: Origin) -> None:
    """See to it that what is kept of a step is here, the shard being held by this process."""
    path = shard.before_path(origin.step)
    for file in (path, keys_beside(path)):
        mirrors.bring(file, ours=True)


def _kept(shard: Shard, origin: Origin) -> AnswerFile | None:
    path = shard.before_path(origin.step)
    return answer_file(path, shard.folder, origin) if path.exists() else None


def _write(
    shard: Shard, made: Origin, finished: AnswerFile, kept: AnswerFile | None, digests: bytes
) -> None:
    path, keys = shard.before_path(made.step), keys_beside(shard.before_path(made.step))
    places, found, size = array("q"), bytearray(), 0
    with whole(path) as file:
        for digest, line in _answers(finished, kept, digests, answer_column(made.asset)):
            places.append(size)
            found += digest
            size += file.write(line)
    mirrors.remove(keys)  # of other rows: none is better
    write_keys(keys, path, Origin(made.step, made.asset), Keys(places, found))
    mirrors.put(path, keys)


def _answers(
    finished: AnswerFile, kept: AnswerFile | None, digests: bytes, column: str
) -> Iterator[tuple[bytes, bytes]]:
    """Keys and lines; of two answers under one key, the finished rows'."""
    yield from _lines(finished, digests, column)
    if kept is not None:
        yield from _lines(kept, bytes(finished.keys().digests), column)


def _lines(file: AnswerFile, known: bytes, column: str) -> Iterator[tuple[bytes, bytes]]:
    keys = file.keys()
    for record in others(keys, known):
        found = Known(file, keys.places[record], keys.digest(record))
        line = _line(found, column)
        if line is not None:
            yield found.digest, line
    file.close()


def _line(found: Known, column: str) -> bytes | None:
    """The row as it stands, or the answer alone where it is not jsonl, or of a renamed asset."""
    name = hexlify(found.digest)
    line = found.file.line(found.place) if found.file.column == column else None
    if line is not None and line.endswith(b"}\n") and name in line:
        return line
    answer = found.answer()
    return None if answer is None else encode({KEY: name.decode(), column: answer}) + b"\n"
