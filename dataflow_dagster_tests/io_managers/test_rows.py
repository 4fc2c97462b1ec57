from typing import Any, Optional

import pandas as pd
import pyarrow as pa
import pytest

from dataflow_dagster.io_managers.rows import load_as, rows_of


def test_a_frames_missing_values_and_times_become_plain_json() -> None:
    frame = pd.DataFrame({"n": [1.5, None], "t": [pd.Timestamp("2026-01-02"), pd.NaT]})
    assert list(rows_of(frame)) == [{"n": 1.5, "t": "2026-01-02T00:00:00"}, {"n": None, "t": None}]


def test_numbers_of_numpy_become_pythons_own() -> None:
    (row,) = rows_of(pd.DataFrame({"n": [3], "b": [True]}))
    assert (type(row["n"]), type(row["b"])) == (int, bool)


def test_a_tables_nested_values_stay() -> None:
    table = pa.table({"a": [[1, None]], "b": [{"c": "x"}]})
    assert list(rows_of(table)) == [{"a": [1, None], "b": {"c": "x"}}]


@pytest.mark.parametrize("value", ["text", b"bytes", {"a": 1}, 3, None])
def test_what_is_no_rows_is_refused_by_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match=f"a {type(value).__name__} cannot be written as rows"):
        rows_of(value)


def test_a_row_that_is_no_dict_is_shown() -> None:
    with pytest.raises(TypeError, match=r"a row is a dict, given was '\[1\]' \(list\)"):
        list(rows_of([[1]]))


@pytest.mark.parametrize("wanted", [str, dict, set[int], dict[int, list]])
def test_other_annotations_are_refused_with_those_that_fit(wanted: Any) -> None:
    with pytest.raises(TypeError, match=r"annotate the input as Shard, Shards, pa\.Table"):
        load_as(wanted, [])


@pytest.mark.parametrize("wanted", [pd.DataFrame | None, Optional[pd.DataFrame]])  # noqa: UP045  # as users write it
def test_an_annotation_that_allows_none_is_that_without_it(wanted: Any) -> None:
    assert isinstance(load_as(wanted, []), pd.DataFrame)
    assert load_as(list[dict[str, Any]] | None, []) == []
    with pytest.raises(TypeError, match="annotate the input as Shard"):
        load_as(pd.DataFrame | pa.Table, [])
