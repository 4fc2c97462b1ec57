from dataflow_dagster.schema.excerpt import drawing


def test_a_caret_stands_below_the_fault_and_the_right_form_below_that() -> None:
    assert drawing("  name: X", 12, 2, ["   name: X"]) == [
        "    12 |   name: X",
        "       |   ^",
        "  write:",
        "       |    name: X",
    ]


def test_a_tab_can_be_seen() -> None:
    assert drawing("\ta: 1", 1, 0, [])[0] == "    1 | →a: 1"


def test_a_long_line_is_cut_around_the_fault() -> None:
    line, caret = drawing("x" * 500 + "@" + "y" * 500, 1, 500, [])
    assert len(line) < 120
    assert line[caret.index("^")] == "@"


def test_what_looks_like_a_secret_is_hidden() -> None:
    for line in ('    api_key: "sk-123', "  openai_token: sk-123 x: y", "{password: sk-123}"):
        drawn = "\n".join(drawing(line, 1, 0, [line]))
        assert "sk-123" not in drawn
        assert "****" in drawn
