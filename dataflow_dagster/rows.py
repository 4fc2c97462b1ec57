"""All that travels: rows, their errors, ids, keys and seeds."""

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal

import orjson

Row = dict[str, Any]
"""One JSON object: the user's columns untouched, ours beginning with ``dataflow_``."""

Medium = Literal["image", "text", "video"]

PREFIX: Final = "dataflow_"
ID: Final = "dataflow_id"
KEY: Final = "dataflow_key"
ERROR: Final = "dataflow_error"
NAME: Final = "dataflow_name"
"""What a medium drawn for the row is named after: folders and stem, decided once in raw_meta."""
REPEAT: Final = "dataflow_repeat"
"""Which of several answers to one row this row is: ``_0``, ``_1``, ...; nested: ``_0_2``."""
GIVEN: Final = "dataflow_given"
"""The columns of a refused row that are ours by name, so that it is listed as it was given."""
PICTURE: Final = "dataflow_picture"
"""Where an asset that loads rows of pictures finds the picture itself; never written."""
CLIP: Final = "dataflow_clip"
"""The same for rows of clips."""
SOURCE_PREFIX: Final = "dataflow_source_"
"""Begins the columns of ``results`` that keep what a step's answer overwrote."""

KEY_BYTES: Final = 16

LARGEST_WHOLE: Final = 2.0**53
"""Up to it a float tells every whole number from the next."""

_DIGITS_AS_ZEROS: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0 for byte in range(256))
_LONG_NUMBER: Final = b"0" * 19
"""What an integer over 64 bits has in it; looked for so, it takes a fifth of a regex's time."""


class RowError(Exception):
    """What went wrong with one row; it costs that row and no other.

    Args:
        kind: A short name that errors of one sort share, such as ``missing_file``.
        message: What was given, where, and what is allowed, for a person to read.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def as_column(self, step: str) -> dict[str, str]:
        """The value of ``dataflow_error`` in a row that failed at `step`."""
        return {"step": step, "kind": self.kind, "message": self.message}


@dataclass(frozen=True, slots=True)
class Numbered:
    """A row, or the error that stands in its place, and its number in the whole input (from 0)."""

    number: int
    row: Row | RowError


def current(medium: Medium) -> str:
    """The column that holds the row's newest picture, text or video."""
    return PREFIX + medium


def answer_column(asset: str) -> str:
    """The column that holds one step's own answer."""
    return PREFIX + asset


def decode(line: bytes | str) -> Any:
    """One JSON value; integers of any size, NaN and Infinity keep their types.

    Raises:
        ValueError: The text is not JSON.
    """
    raw = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
    if _LONG_NUMBER in raw.translate(_DIGITS_AS_ZEROS):  # of which orjson makes a float
        return _decode_slowly(raw)
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _decode_slowly(raw)  # NaN, Infinity and lone surrogates


def _decode_slowly(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep


def encode(row: Any, *, sort_keys: bool = False) -> bytes:
    """JSON in UTF-8 without line breaks; NaN and Infinity, which JSON lacks, become null."""
    option = orjson.OPT_SORT_KEYS if sort_keys else None
    try:
        return orjson.dumps(row, None, option)
    except TypeError:
        pass
    try:  # which would cost every row a fifth
        return orjson.dumps(row, None, (option or 0) | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        pass
    return _encode_slowly(row, sort_keys=sort_keys)  # integers over 64 bits, lone surrogates


def _encode_slowly(row: Any, *, sort_keys: bool) -> bytes:
    text = json.dumps(row, sort_keys=sort_keys, separators=(",", ":"))
    if "NaN" in text or "Infinity" in text:
        without = json.loads(text, parse_constant=lambda name: None)
        text = json.dumps(without, sort_keys=sort_keys, separators=(",", ":"))
    return text.encode("utf-8")


def fingerprint(value: Any) -> str:
    """32 hex digits (128 bits) that equal JSON values share, whatever the order of their keys."""
    return blake2b(encode(value, sort_keys=True), digest_size=16).hexdigest()


def row_id(row: Row, id_key: str | None) -> str | None:
    """The row's own id as text, or None where it has none.

    A whole number is one, however it is written: of a column of integers with one gap, pandas
    makes floats.

    Args:
        row: The user's row.
        id_key: The column that identifies a row; None: ``id`` where the row has it.

    Raises:
        RowError: ``bad_id``: the YAML names an id column and the row has no text or whole number
            there.
    """
    value = row.get(id_key or "id")
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_WHOLE:
        return str(int(value))
    if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
        return str(value)
    if id_key is None:
        return None
    raise RowError("bad_id", f"column '{id_key}' is {value!r}; an id is a text or a whole number")


def content_id(row: Row, occurrence: int) -> str:
    """The id of a row without one: it stays when other rows come, go or move.

    Args:
        row: The user's row.
        occurrence: How many rows equal to this one stand before it in the input.
    """
    digest = fingerprint(row)
    return digest if occurrence == 0 else f"{digest}-{occurrence}"


def repeat_id(of: str, repeat: int) -> str:
    """The id of the `repeat`-th (from 0) answer asked for one row."""
    return f"{of}#{repeat}"


def seed(pipeline_seed: int, step: str, of: str, repeat: int) -> int:
    """A seed in [0, 2**63) that depends on these four alone, never on position, batch or run."""
    text = f"{pipeline_seed}\x1f{step}\x1f{of}\x1f{repeat}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & (2**63 - 1)


def key_state(step_fingerprint: str, pipeline_seed: int, step: str) -> "blake2b":
    """What the keys of one step's rows begin with, hashed once: `key` goes on from it."""
    text = "\x1f".join((step_fingerprint, str(pipeline_seed), step))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES)


def key(state: "blake2b", of: str, repeat: int, value: str, stamp: str = "") -> bytes:
    """The name of one answer: equal for equal work. Its hex digits stand in ``dataflow_key``.

    Args:
        state: All that the rows of a step share.
        of: The row's id, which with `repeat` decides the seed.
        repeat: Which of several answers to one row.
        value: The input text, or the input medium's path.
        stamp: Tells a medium's content from what it was before.
    """
    whole = state.copy()
    text = f"{len(of)}:{of}{repeat}:{len(value)}:{value}{stamp}"
    whole.update(text.encode("utf-8", "surrogatepass"))
    return whole.digest()
