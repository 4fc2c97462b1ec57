from typing import Any

import pytest

from dataflow_dagster.factory.tables import table


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("x | y", "x \\| y"),
        ("two\nlines", "two lines"),
        ("\\|", "\\\\\\|"),
        (None, ""),
        ("![](javascript:x)", "!\\[\\](javascript:x)"),
        ("<img src=x onerror=y>", "\\<img src=x onerror=y\\>"),
        ("&lt;b&gt; & so", "\\&lt;b\\&gt; \\& so"),
        ("**bold** `code`", "\\*\\*bold\\*\\* \\`code\\`"),
        ("y" * 200, "y" * 119 + "…"),
    ],
)
def test_a_cell_cannot_break_its_table(value: Any, cell: str) -> None:
    assert table(["a"], [[value]]).splitlines()[2] == f"| {cell} |"


def test_a_heading_cannot_break_its_table() -> None:
    assert table(["a | b\nc"], [[1]]).splitlines() == ["| a \\| b c |", "| --- |", "| 1 |"]
