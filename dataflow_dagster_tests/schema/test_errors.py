from pathlib import Path

from dataflow_dagster.schema.errors import PipelineError, Place, Problem, key_text, problem_at


def test_a_key_is_written_as_a_path_with_list_entries_from_zero() -> None:
    assert key_text(("steps", 0, "config", "width")) == "steps[0].config.width"
    assert key_text(()) == ""


def test_an_error_lists_every_problem_in_order_of_line() -> None:
    later = Problem(7, 1, "steps", "is empty")
    error = PipelineError(Path("data/x.yaml"), [later, Problem(2, 3, "shards", "is 0")])
    assert str(error) == "data/x.yaml:2: shards: is 0\ndata/x.yaml:7: steps: is empty"
    assert error.problems[1] == later


def test_a_problem_with_the_whole_file_names_no_line() -> None:
    error = PipelineError(Path("x.yaml"), [problem_at(None, (), "there is no such file")])
    assert str(error) == "x.yaml: there is no such file"


def test_a_problem_stands_at_its_place() -> None:
    assert problem_at(Place(3, 5), ("a",), "m") == Problem(3, 5, "a", "m")
