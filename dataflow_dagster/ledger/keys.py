"""Which good answers a file of rows holds, and where: read in place of the rows themselves.

A keys file stands beside its rows file (``result.jsonl.keys``). It is one line of JSON padded to a
multiple of 8 bytes, then for each good answer, in the order of the rows, its place (int64: the
byte where its line begins, in parquet its row number), then all their keys (16 bytes each), and,
where a line read decides the line written, marks of the lines read (8 bytes each).
"""

from array import array
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dataflow_dagster.rows import KEY_BYTES, decode, encode
from dataflow_dagster.stores import mirrors
from dataflow_dagster.wholes import whole

MARK_BYTES = 8

_MOST_HEADER_BYTES = 1 << 20
_PLACE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose answers: only a step of the same fingerprint can use them.

    Attributes:
        step: `StepRun.fingerprint`, which every key of the step's rows begins with.
        asset: Names the column the answers stand in.
        rows: `StepRun.shard_fingerprint`: equal lines read under an equal one made equal lines.
    """

    step: str
    asset: str
    rows: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Places and keys of a file's good answers, in the order of its rows; 24 or 32 bytes each.

    Attributes:
        marks: `line_mark` of the line that each answer's row was made of; empty: not known.
    """

    places: "array[int]"
    digests: bytes | bytearray
    marks: bytes | bytearray = b""

    def __len__(self) -> int:
        return len(self.places)

    def digest(self, record: int) -> bytes:
        """The key of one answer, 16 bytes."""
        return bytes(self.digests[record * KEY_BYTES : (record + 1) * KEY_BYTES])


@dataclass(frozen=True, slots=True)
class KeysHeader:
    """What a keys file says of its rows file.

    Attributes:
        origin: Whose answers they are; `rows` is empty where there are no marks.
        size: The rows file's bytes; of another size, it is another file.
        answers: How many there are.
        begins: Where in the keys file places begin.
    """

    origin: Origin
    size: int
    answers: int
    begins: int


def keys_beside(rows: Path) -> Path:
    """Where the keys of a file of rows are."""
    return rows.with_name(rows.name + ".keys")


def line_mark(line: bytes) -> bytes:
    """8 bytes. Only two lines at one place are compared: of 2**64 changed ones, one looks equal."""
    return blake2b(line, digest_size=MARK_BYTES).digest()


def write_keys(path: Path, rows: Path, origin: Origin, keys: Keys) -> None:
    """Note the keys of the finished file `rows` at `path`, in one step: never seen half."""
    header: dict[str, Any] = {
        "step": origin.step,
        "asset": origin.asset,
        "rows": origin.rows if keys.marks else "",
        "size": rows.stat().st_size,
        "answers": len(keys),
    }
    line = encode(header)
    line += b" " * (-(len(line) + 1) % _PLACE_BYTES) + b"\n"
    with whole(path, synced=False) as file:  # made anew from the rows
        file.write(line)
        file.write(keys.places.tobytes())
        file.write(keys.digests)
        file.write(keys.marks if origin.rows else b"")


def read_header(path: Path, rows: Path) -> KeysHeader | None:
    """What the keys file at `path` says; None where there is none, or none of these `rows`."""
    try:
        with path.open("rb") as file:
            header = header_of(file.readline(_MOST_HEADER_BYTES))
        if header is None:
            return None
        each = _PLACE_BYTES + KEY_BYTES + (MARK_BYTES if header.origin.rows else 0)
        size = header.begins + header.answers * each
        fits = path.stat().st_size == size and mirrors.size(rows) == header.size
    except OSError:
        return None
    return header if fits else None


def header_of(line: bytes) -> KeysHeader | None:
    """What the first line of a keys file says; None: it is none."""
    try:
        told = decode(line)
        origin = Origin(told["step"], told["asset"], told["rows"])
        return KeysHeader(origin, told["size"], told["answers"], len(line))
    except (ValueError, TypeError, KeyError):
        return None


def read_keys(path: Path, header: KeysHeader) -> Keys:
    """The places and keys that stand in a keys file.

    Raises:
        OSError: It is gone.
        ValueError: It was replaced by another.
    """
    places = array("q")
    with path.open("rb") as file:
        file.seek(header.begins)
        try:
            places.fromfile(file, header.answers)
        except EOFError as short:
            raise ValueError(f"{path} is shorter than it says") from short
        digests = file.read(header.answers * KEY_BYTES)
        return Keys(places, digests, file.read())
