from pathlib import Path

import pytest

from dataflow_dagster.schema.document import read_document
from dataflow_dagster.schema.errors import PipelineError, Problem


def _problem(text: str) -> Problem:
    with pytest.raises(PipelineError) as raised:
        read_document(text, Path("x.yaml"))
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("steps: - type: A\n", 1, "a list begins on a line of its own"),
        ("p: >-\n  a\n b\nc: 1\n", 3, "does not fit what stands above"),
        ("steps:\n  -type: A\n   name: X\n", 2, "      |   - type: A"),
        ("steps:\n- type: A\n  name: X\n-type: B\n  name: Y\n", 4, "after the dash"),
        ("steps:\n  - type: A\n  -type: B\n    name: Y\n", 3, "after the dash"),
        ("steps:\n\t- type: A\n", 2, "is a tab (→)"),
        ("a:\tb: 1\n", 1, "is a tab (→)"),
        ("prompt: What is this: a cat\n", 1, '| prompt: "What is this: a cat"'),
        ("meta_path:x\nsteps:\n", 1, "| meta_path: x"),
        ("a: 1\nmeta_path:x\n", 2, "after the colon"),
        ("prompt: {caption} is it\n", 1, '| prompt: "{caption} is it"'),
        ("prompt: {% if x %}\n", 1, "wants quotes"),
        ("prompt: @someone\n", 1, '| prompt: "@someone"'),
        ('prompt: "a" or b\n', 1, "| prompt: '\"a\" or b'"),
        ("prompt: 'what's this'\n", 1, '| prompt: "what\'s this"'),
        ('a: 1\nprompt: "abc\nb: 2\n', 2, "the quote that begins in this line is not closed"),
        ("a: [1, 2\nb: 3\n", 1, "a bracket is not closed"),
        ("a: {b: x, c: d: e\nf: 1\n", 1, '| a: {b: x, c: "d: e"}'),
        ("a: {b: x, c: d: e}\n", 1, "a text with ': ' in it wants quotes"),
        ("a: {b: x\n   c: y}\n", 1, "the brace { that is opened in this line is not closed"),
        ("a: {b: 3\uff0cc: y}\n", 1, "| a: {b: 3, c: y}"),
        ("a\uff1ab\nc:\n  d: 1\n", 1, "| a: b"),
        ("a:\n  \u2013 b: 1\n    c: 2\n", 2, "|   - b: 1"),
        ("a: 1\n  \u00a0b: 2\n", 2, "U+00A0"),
        ("a: *nothing\n", 1, "marked &name above"),
        ("meta_path: *.jsonl\n", 1, '| meta_path: "*.jsonl"'),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ('a: "C:\\Users"\n', 1, "use single quotes"),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n", 1, "merge conflict"),
        ("a: 1\nfoo bar\nb: 2\n", 2, "neither 'key: value' nor '- entry'"),
        ("a: b\nc: d\x00e\n", 2, "U+0000"),
        ("%YAML 9.9\n---\na: 1\n", 1, "is not YAML"),
    ],
)
def test_a_slip_is_told_with_its_line_and_what_to_write(text: str, line: int, words: str) -> None:
    problem = _problem(text)
    assert words in problem.message
    assert problem.line == line


def test_a_key_on_the_broken_line_is_not_shown() -> None:
    assert "sk-abc" not in _problem('api_key: "sk-abc\nb: 2\n').message
