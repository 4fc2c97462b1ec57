from dataflow_dagster.schema.slips import Fault


def test_the_line_above_is_the_last_that_says_something() -> None:
    lines = ["a: 1", "", "  # a remark", "  b: 2"]
    fault = Fault(lines, line=3, column=2, start=3, problem="", context="")
    assert (fault.above(), fault.text, fault.indent) == (0, "  b: 2", 2)
    assert Fault(lines, line=0, column=0, start=0, problem="", context="").above() is None
