"""Which parquet type holds a column of JSON values so that the same values are read back."""

from collections.abc import Iterable
from typing import Any, Final

from dataflow_dagster.rows import Row

JSON_MARK: Final = {b"dataflow_json": b"1"}
"""Metadata of a field that holds JSON text: its column mixes types."""

Kind = str | tuple["Kind"] | dict[str, "Kind"]
"""``null bool int float text json``, a list of one kind, or an object with these keys."""

_SCALARS: Final = {bool: "bool", float: "float", type(None): "null"}
_WIDER: Final[dict[tuple[str, str], Kind]] = {
    ("int", "long"): "long",
    ("long", "int"): "long",
    ("int", "float"): "float",
    ("float", "int"): "float",
}
_EXACT: Final = 2**53
"""Integers up to here are floats too; a column of both is a column of floats."""


def kinds(given: Iterable[Row], before: dict[str, Kind] | None = None) -> dict[str, Kind]:
    """Each column's kind over all rows, in the order in which columns first appear.

    Args:
        given: Rows.
        before: What was found in rows before them; it is changed.
    """
    found: dict[str, Kind] = {} if before is None else before
    for row in given:
        for name, value in row.items():
            kind = _kind(value)
            so_far = found.get(name, "null")
            found[name] = kind if so_far == "null" else _both(so_far, kind)
    return found


def schema(of: dict[str, Kind]) -> Any:
    """The parquet columns for these kinds; what has no type of its own becomes JSON text."""
    import pyarrow as pa

    return pa.schema([_field(name, kind) for name, kind in of.items()])


def _kind(value: Any) -> Kind:
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        return scalar
    if isinstance(value, str):
        return "text" if value.isascii() or _is_utf8(value) else "json"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, dict):
        return {name: _kind(child) for name, child in value.items()}
    return (_merged(map(_kind, value)),)


def _integer(value: int) -> Kind:
    if -_EXACT <= value <= _EXACT:
        return "int"
    return "long" if -(2**63) <= value < 2**63 else "json"


def _merged(given: Iterable[Kind]) -> Kind:
    kind: Kind = "null"
    for other in given:
        kind = _both(kind, other)
    return kind


def _both(one: Kind, other: Kind) -> Kind:
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    if isinstance(one, tuple) and isinstance(other, tuple):
        return (_both(one[0], other[0]),)
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {name: _both(one[name], other[name]) for name in one}
    return _WIDER.get((str(one), str(other)), "json")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _field(name: str, kind: Kind) -> Any:
    import pyarrow as pa

    kept = _type(kind)
    if kept is None:
        return pa.field(name, pa.string(), metadata=JSON_MARK)
    return pa.field(name, kept)


def _type(kind: Kind) -> Any:
    """None: only JSON text holds it, such as objects with differing or without any keys."""
    import pyarrow as pa

    if isinstance(kind, str):
        types = {"bool": pa.bool_(), "float": pa.float64(), "text": pa.string(), "null": pa.null()}
        return pa.int64() if kind in ("int", "long") else types.get(kind)
    if isinstance(kind, tuple):
        inner = _type(kind[0])
        return None if inner is None else pa.list_(inner)
    inner_types = {name: _type(child) for name, child in kind.items()}
    if not inner_types or any(inner is None for inner in inner_types.values()):
        return None
    return pa.struct([pa.field(name, inner) for name, inner in inner_types.items() if inner])
