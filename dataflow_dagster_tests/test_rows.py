import json
import math
from typing import Any

import pytest

from dataflow_dagster import rows
from dataflow_dagster.rows import RowError


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": 1.0, "c": None, "d": [True, {"e": "ä\n"}]},
        {"big": 2**80, "small": -(2**70), "text": "9" * 30},
        {"max": 2**64 - 1, "min": -(2**63), "zero": 0},
        {"lone": "\ud800"},
        {},
    ],
)
def test_values_keep_their_types_through_encode_and_decode(value: Any) -> None:
    back = rows.decode(rows.encode(value))
    assert back == value
    assert json.dumps(back) == json.dumps(value)
    assert b"\n" not in rows.encode(value)


def test_text_is_written_as_it_is() -> None:
    assert rows.encode({"t": "ä犬"}) == '{"t":"ä犬"}'.encode()


def test_what_json_lacks_becomes_null_and_is_read_where_others_wrote_it() -> None:
    assert rows.encode({"n": math.nan, "i": math.inf}) == b'{"n":null,"i":null}'
    read = rows.decode('{"n": NaN, "i": -Infinity}')
    assert math.isnan(read["n"])
    assert read["i"] == -math.inf


@pytest.mark.parametrize("odd", [2**70, "\ud800", [-(2**70), "\udfff"]])
def test_what_json_lacks_becomes_null_beside_what_is_encoded_slowly(odd: Any) -> None:
    row = {"odd": odd, "n": math.nan, "deep": [{"i": math.inf, "j": -math.inf}], "t": "NaN"}
    read = json.loads(rows.encode(row), parse_constant=_refused)
    assert read == {"odd": odd, "n": None, "deep": [{"i": None, "j": None}], "t": "NaN"}


def _refused(name: str) -> None:
    raise ValueError(name)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[" * 100_000])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # json's and orjson's messages differ
        rows.decode(text)


def test_a_fingerprint_does_not_hang_on_the_order_of_keys() -> None:
    assert rows.fingerprint({"a": 1, "b": 2}) == rows.fingerprint({"b": 2, "a": 1})
    assert rows.fingerprint({"a": 1}) != rows.fingerprint({"a": "1"})
    assert len(rows.fingerprint(None)) == 32


def test_an_id_is_the_rows_own_text_or_integer() -> None:
    assert rows.row_id({"id": "x"}, None) == "x"
    assert rows.row_id({"id": 7}, None) == "7"
    assert rows.row_id({"name": "n", "id": 7}, "name") == "n"
    assert rows.row_id({"other": 1}, None) is None


def test_a_whole_number_is_an_id_also_where_gaps_in_its_column_made_it_a_float() -> None:
    assert [rows.row_id({"id": one}, key) for one in (1.0, 1) for key in (None, "id")] == ["1"] * 4
    assert rows.row_id({"id": -0.0}, None) == "0"
    assert rows.row_id({"id": 2.0**53}, None) == str(2**53)


@pytest.mark.parametrize(
    "value", [None, "", True, 1.5, 2.0**54, math.nan, math.inf, ["x"], {"a": 1}]
)
def test_what_is_no_id_counts_as_none_unless_the_yaml_names_the_column(value: Any) -> None:
    assert rows.row_id({"id": value}, None) is None
    with pytest.raises(RowError, match="bad_id"):
        rows.row_id({"id": value}, "id")


def test_rows_without_an_id_are_told_apart_by_content_and_occurrence() -> None:
    first = rows.content_id({"a": 1}, 0)
    assert first == rows.content_id({"a": 1}, 0)
    assert rows.content_id({"a": 1}, 2) == f"{first}-2"
    assert rows.content_id({"a": 2}, 0) != first
    assert rows.repeat_id("x", 4) == "x#4"


def test_a_seed_hangs_on_its_four_parts_and_fits_63_bits() -> None:
    given = (0, "Toy/Shouter", "row", 0)
    others = [(1, *given[1:]), (0, "Toy/Namer", "row", 0), (0, "Toy/Shouter", "rox", 0)]
    seeds = {rows.seed(*parts) for parts in [given, *others, (*given[:3], 1)]}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert rows.seed(*given) == rows.seed(*given)


def test_a_key_tells_where_one_part_ends() -> None:
    state = rows.key_state("f", 0, "step")
    given = [("a", 0, "b"), ("a0", 0, "b"), ("a", 1, "b"), ("a", 0, "b", "c"), ("a", 0, "bc")]
    assert len({rows.key(state, *one) for one in given}) == 5
    assert rows.key(state, "a", 0, "\ud800") == rows.key(state, "a", 0, "\ud800")
    others = [rows.key_state("g", 0, "step"), rows.key_state("f", 1, "step")]
    assert len({rows.key(one, "a", 0, "b") for one in [state, *others]}) == 3


def test_an_error_becomes_a_column_with_its_step() -> None:
    error = RowError("missing_file", "a.png: gone")
    assert error.as_column("captions") == {
        "step": "captions",
        "kind": "missing_file",
        "message": "a.png: gone",
    }
