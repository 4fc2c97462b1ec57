from pathlib import Path

import pytest

from dataflow_dagster.schema.document import read_document
from dataflow_dagster.schema.errors import PipelineError, Problem


def _problem(text: str) -> Problem:
    with pytest.raises(PipelineError) as raised:
        read_document(text, Path("x.yaml"))
    (problem,) = raised.value.problems
    return problem


REFERENCE = """\
meta_path: meta.jsonl
steps:
 - type: ImageCaptioner
  name: LLaVACaptioner
  config:
    model_path: x
"""


def test_the_reference_documentation_is_shown_its_own_example_in_the_right_form() -> None:
    problem = _problem(REFERENCE)
    assert (problem.line, problem.column) == (4, 3)
    assert problem.message == (
        "is indented by 2 spaces, expected 3: right below 'type' of line 3\n"
        "    4 |   name: LLaVACaptioner\n"
        "      |   ^\n"
        "  write:\n"
        "      |  - type: ImageCaptioner\n"
        "      |    name: LLaVACaptioner\n"
        "      |    config:\n"
        "      |      model_path: x"
    )


def test_the_right_form_of_the_reference_s_example_does_parse() -> None:
    right = [line.partition("| ")[2] for line in _problem(REFERENCE).message.splitlines()[4:]]
    document = read_document("\n".join(["meta_path: x", "steps:", *right]), Path("x.yaml"))
    assert document.root["steps"] == [
        {"type": "ImageCaptioner", "name": "LLaVACaptioner", "config": {"model_path": "x"}}
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("steps:\n  - type: A\n   name: X\n", 3, "is indented by 3 spaces, expected 4"),
        ("steps:\n  - type: A\n  name: X\n", 3, "is indented by 2 spaces, expected 4"),
        ("steps:\n  - type: A\n     name: X\n", 3, "is indented by 5 spaces, expected 4"),
        ("a:\n    b: 1\n  c: 2\n", 3, "expected 4: right below 'b' of line 2"),
        ("l:\n  - a: A\n    b: X\n - a: B\n   b: Y\n", 4, "1 space, expected 2: right below '-'"),
        ("l:\n - a: A\n   b: X\n   - a: B\n     b: Y\n", 4, "|  - a: B\n      |    b: Y"),
        ("l:\n  - a: A\n    b: X\n- a: B\n  b: Y\n", 4, "0 spaces, expected 2: right below"),
        (" a: 1\nb: 2\n", 2, "is indented by 0 spaces, expected 1: right below 'a' of line 1"),
    ],
)
def test_a_line_in_the_wrong_column_is_told_the_right_one(text: str, line: int, words: str) -> None:
    problem = _problem(text)
    assert words in problem.message
    assert problem.line == line
